/**
 * A host for measuring what a reconcile costs: the agent's own hold on a network namespace, with real containers, and with peers and
 * services as the store would give them.
 *
 * @module
 */
import process from "node:process";
import { HostNetwork } from "../../core/agent/host_network.ts";
import { type ContainerRecord, writeBook } from "../../core/container/addresses.ts";
import { bridgeOf, makeWire, removeHostEnd } from "../../core/container/wire.ts";
import { hostIfname } from "../../core/container/wire_names.ts";
import { bootId } from "../../core/cluster/node_identity.ts";
import { nthAddress } from "../../core/base/address.ts";
import type { Forward, Service } from "../../core/services/service.ts";
import { NO_TIMEOUTS } from "../../core/services/service.ts";
import { netnsCookie, type NetnsHandle, netnsId, newNetns, withNetns } from "../../ffi/netns.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { addLink, changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { CONFIG, peerLeases } from "./peers.ts";

/** What there is on a host. */
export interface Load {
  readonly containers: number;
  /** Services of ten real servers each. */
  readonly services: number;
  readonly peers: number;
  /** How services reach their real servers; with another than `nat` the containers are real servers. */
  readonly forward?: Forward;
}

const ADDRESS = "172.31.0.1";
/** Beyond those of the peers, and with room for a thousand containers. */
const SUBNET = "10.255.248.0/21";

/** A namespace that the agent's part for the kernel looks after. Everything is in it by the time that it is made. */
export class LoadedHost implements AsyncDisposable {
  readonly #namespace: NetnsHandle = newNetns();
  readonly #containers: NetnsHandle[] = [];
  /** Names of the containers' interfaces on the host. */
  readonly #wires: string[] = [];
  readonly #dataDir = Deno.makeTempDirSync({ prefix: "knet-reconcile-" });
  readonly #network: HostNetwork;

  constructor({ containers, services, peers, forward = "nat" }: Load) {
    this.#network = this.#within(() => this.#join());
    this.#network.setPeers(peerLeases(peers));
    const names = { removedServices: [], timeouts: NO_TIMEOUTS, now: 0 };
    this.#network.changeServices({ full: true, services: tenEach(services, forward), ...names });
    // The bridge first, which containers hang on; then them, whom services may want as real servers.
    this.reconcile();
    this.#within(() => this.#attach(containers));
    this.reconcile();
    const { warnings } = this.#network;
    if (warnings.length > 0) throw new Error(`Cannot load the host: ${warnings.join("; ")}`);
  }

  /** Deletes the wire of a container, counted from 0. */
  cutWire(container: number): void {
    removeHostEnd(this.#network.rtnl, this.#wires[container]!);
  }

  #within<T>(run: () => T): T {
    return withNetns(this.#namespace.fd, run);
  }

  /** A full reconcile. */
  reconcile(): void {
    this.#within(() => this.#network.reconcile("bench"));
  }

  /** A host with an underlay and its lease. */
  #join(): HostNetwork {
    using rtnl = openRtnl();
    addLink(rtnl, { name: "eth0", kind: "bridge", mac: "02:00:00:00:00:02" });
    const eth0 = getLink(rtnl, "eth0")!;
    changeLink(rtnl, eth0.index, { up: true });
    const own = { family: 4, ifindex: eth0.index, address: ADDRESS, prefixLength: 12 } as const;
    addAddress(rtnl, own);
    const network = new HostNetwork(
      {
        ...{ storeUrl: "sqlite::memory:", stateDir: this.#dataDir, dataDir: this.#dataDir },
        ...{ bridge: "knet0", ipMasq: true, peersOnly: true, strictArp: false, adopt: false },
        ...{ once: false, plainRoutes: false, config: {}, signal: new AbortController().signal },
      },
      { nodeId: "bench", nodeName: "bench", bootId: bootId(), agentId: "bench" },
      () => {},
    );
    network.configure({
      ...{ config: CONFIG, family: 4, nodeId: "bench", subnet: SUBNET, announced: true },
      backendData: { vni: 1, mac: "02:00:00:00:00:01" },
      mtu: eth0.mtu - 50,
      underlay: {
        ...{ ifindex: eth0.index, name: eth0.name, address: ADDRESS, prefixLength: 12 },
        ...{ nearby: [], publicIp: ADDRESS, mtu: eth0.mtu },
      },
    });
    return network;
  }

  /** Containers as `knet attach` leaves them, each in a namespace of its own. */
  #attach(count: number): void {
    const { rtnl, state } = this.#network;
    const bridge = bridgeOf(rtnl, state!.bridge);
    const records: ContainerRecord[] = [];
    for (let n = 0; n < count; n++) {
      const namespace = newNetns();
      this.#containers.push(namespace);
      const cookie = netnsCookie(namespace.fd);
      const id = cookie === undefined ? netnsId(namespace.fd) : `cookie:${cookie}`;
      const record: ContainerRecord = {
        // As runtimes name one: by a path under /proc.
        netns: `/proc/${Deno.pid}/fd/${namespace.fd}`,
        netnsId: id,
        ifname: "eth0",
        address: containerAddress(n),
        prefixLength: 21,
        hostIfname: hostIfname(id, "eth0"),
      };
      makeWire({ rtnl, netnsFd: namespace.fd, bridge, state: state! }, record);
      records.push(record);
      this.#wires.push(record.hostIfname);
    }
    writeBook({ dataDir: this.#dataDir, bootId: bootId() }, records);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
    for (const namespace of this.#containers) namespace[Symbol.dispose]();
    this.#namespace[Symbol.dispose]();
    Deno.removeSync(this.#dataDir, { recursive: true });
  }
}

/** The bridge has the first address. */
const containerAddress = (n: number) => nthAddress(SUBNET, n + 2);

function tenEach(count: number, forward: Forward): Service[] {
  return Array.from({ length: count }, (_, index): Service => ({
    name: `s${index}`,
    vip: `198.18.${index >> 8}.${index & 255}`,
    ...{ port: 80, family: 4, protocol: "tcp", scheduler: "rr", schedulerFlags: [], forward },
    ...{ persistent: 0, persistenceNetmask: 32, onePacket: false, masquerade: "auto" },
    ...{ check: { type: "none" }, onEmpty: "keep", drainTimeout: 60, revision: 1 },
    destinations: Array.from({ length: 10 }, (_, one) => ({
      address: forward === "nat"
        ? `10.254.${index & 255}.${one + 2}`
        : containerAddress(index * 10 + one),
      port: forward === "nat" ? 8000 + (index >> 8) : 80,
      ...{ weight: 1, upper: 0, lower: 0 },
    })),
  }));
}

/** What a call costs: processor time of all threads and of the kernel for them, milliseconds. */
export interface Cost {
  readonly user: number;
  readonly system: number;
}

const CALLS = 5;

/**
 * Measures calls, garbage collection included, once their code is compiled: the median of several rounds of each. They take turns, so
 * that what else the machine does meets all alike.
 */
export function costsOf(runs: readonly (() => void)[], rounds: number): Cost[] {
  for (const run of runs) for (let call = 0; call < 4 * CALLS; call++) run();
  const costs = runs.map((): Cost[] => []);
  for (let round = 0; round < rounds; round++) {
    runs.forEach((run, at) => costs[at]!.push(costOf(run)));
  }
  const total = ({ user, system }: Cost) => user + system;
  return costs.map((all) => all.sort((a, b) => total(a) - total(b))[rounds >> 1]!);
}

function costOf(run: () => void): Cost {
  const before = process.cpuUsage();
  for (let call = 0; call < CALLS; call++) run();
  const { user, system } = process.cpuUsage(before);
  return { user: user / 1000 / CALLS, system: system / 1000 / CALLS };
}
