/**
 * `knet trace`: the way of a packet from a container of this host, step by step, from the live tables of
 * the kernel; of the receiving host what its lease says.
 *
 * @module
 */
import { missingCapabilities } from "../../../ffi/privilege.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { type InterfaceAddress, listAddresses } from "../../../ffi/rtnl/address.ts";
import { getLink, type Link } from "../../../ffi/rtnl/link.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { isExpired } from "../../cluster/allocate.ts";
import { familyOf, prefixContains, prefixesOverlap } from "../../base/address.ts";
import { type ContainerRecord, listContainers } from "../../container/container.ts";
import { KnetError } from "../../base/error.ts";
import type { Lease } from "../../cluster/lease.ts";
import { type NodeState, readNodeState } from "../../cluster/node_state.ts";
import { carriage } from "./carriage.ts";
import { containerOf, destinationOf, findLeases, isName, notHere } from "./ends.ts";
import { bridgeStep, containerStep, forwardingStep, forwardStep, hostStep } from "./origin.ts";
import {
  inputStep,
  type ServiceFacts,
  serviceFacts,
  serviceSteps,
  virtualIpStep,
} from "./service.ts";
import { broken, doubtful, fine, type TraceStep } from "./step.ts";
import { deviceOut, routeStep } from "./way.ts";

export type { StepName, TraceStep } from "./step.ts";

/** One end of the way. */
export interface TraceEnd {
  readonly address: string;
  /** The container's namespace, if it is one of this host. */
  readonly container?: string;
  /** What it is called, if it has a name and is of this host, or was found by it. */
  readonly name?: string;
  /** Name of the host. */
  readonly node?: string;
  readonly publicIp?: string;
}

/** The way of a packet. One stable JSON document. */
export interface TraceReport {
  readonly source: TraceEnd;
  readonly destination: TraceEnd;
  /** In the order of the way; ends with the one that is broken, if one is. */
  readonly steps: readonly TraceStep[];
  /** No step is broken, as far as it can be seen from here. */
  readonly passes: boolean;
}

/** What to trace. */
export interface TraceOptions {
  /** A container of this host: its namespace as it was attached, its address or its name. */
  readonly source: string;
  /** A container of this host, the name of one of any host, or any address. */
  readonly destination: string;
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
}

/**
 * Follows a packet.
 *
 * @throws {KnetError} exit code 2 if an end is neither a container nor an address, 4 if several may be meant, 3 without the privilege to look.
 */
export async function trace(options: TraceOptions): Promise<TraceReport> {
  const missing = missingCapabilities(["netAdmin", "sysAdmin"]);
  if (missing.length > 0) {
    throw new KnetError(`Cannot trace: the process lacks ${missing.join(", ")}`, {
      exitCode: 3,
      remedy: "Run it as root: the first step is inside the container's namespace",
    });
  }
  const state = readNodeState(options.stateDir);
  if (state === undefined) {
    throw new KnetError("Cannot trace: this host has not joined the cluster", {
      remedy: "Start the agent: knet join",
    });
  }
  const book = listContainers(options.dataDir);
  const { source, destination } = options;
  const known = await findLeases(options, state, isName(book, source) || isName(book, destination));
  const { leases, services, now, note } = known;
  const from = containerOf(book, source, state);
  if (from === undefined) throw notHere(book, source, known, state);
  const { address, record: to, name } = destinationOf(book, destination, known, state);
  const holder = leases.find((lease) => prefixContains(lease.subnet, address));
  const service = await serviceFacts(options.stateDir, services, address);
  using rtnl = openRtnl();
  const steps = walk(rtnl, { state, from, to, address, leases, holder, now, note, service });
  const here = { node: state.nodeName, publicIp: state.publicIp };
  return {
    source: { ...endOf(from.address, from), ...here },
    destination: {
      ...endOf(address, to, name),
      ...(holder !== undefined && { node: holder.nodeName, publicIp: holder.publicIp }),
    },
    steps,
    passes: steps.every(({ status }) => status !== "broken"),
  };
}

function endOf(
  address: string,
  record: ContainerRecord | undefined,
  found?: string,
): Pick<TraceEnd, "address" | "container" | "name"> {
  const name = record?.name ?? found;
  return {
    address,
    ...(record !== undefined && { container: record.netns }),
    ...(name !== undefined && { name }),
  };
}

interface Way {
  readonly state: NodeState;
  readonly from: ContainerRecord;
  readonly to: ContainerRecord | undefined;
  readonly address: string;
  readonly leases: readonly Lease[];
  /** The one of the host that has the destination. */
  readonly holder: Lease | undefined;
  /** What is at the destination, if it is a virtual IP. */
  readonly service: ServiceFacts;
  /** The store's clock, if it answers. */
  readonly now: number | undefined;
  /** Why the leases may be old. */
  readonly note: string | undefined;
}

/** Each step in turn, until one is broken. */
function walk(rtnl: NetlinkSocket, way: Way): TraceStep[] {
  const { state, from, address, holder } = way;
  const local = prefixContains(state.subnet, address);
  const steps: TraceStep[] = [];
  /** Whether the packet is still on its way. */
  const pass = (...more: TraceStep[]) => {
    steps.push(...more);
    return steps.at(-1)!.status !== "broken";
  };
  if (!pass(containerStep(from, address)) || !pass(bridgeStep(rtnl, from, state))) return steps;
  if (local) {
    pass(deliveryStep(rtnl, way));
    return steps;
  }
  const bridge = getLink(rtnl, state.bridge)!;
  const packet = { src: from.address, dst: address, iif: bridge.index };
  if (way.service.services.length > 0) {
    if (!pass(forwardingStep(state)) || !pass(virtualIpStep(rtnl, packet))) return steps;
    if (pass(inputStep(way.service, packet, state))) {
      pass(...serviceSteps(way.service, from.address, state));
    }
    return steps;
  }
  const own = listAddresses(rtnl, { family: familyOf(address) });
  if (own.some((one) => one.address === address)) {
    pass(hostStep(state, packet));
    return steps;
  }
  if (isNobodys(address, state, own)) {
    pass(broken(
      "service",
      `no service has ${address}, and what nobody has of ${state.serviceNetwork} is refused`,
      "Look at the services: knet svc ls",
    ));
    return steps;
  }
  const inside = prefixContains(state.network, address);
  if (!pass(forwardStep(state, { ...packet, oif: deviceOut(rtnl, packet) }))) return steps;
  if (inside && holder === undefined) {
    pass(broken(
      "peer",
      `no host of the cluster has a subnet with ${address}`,
      "Look at the leases: knet lease ls",
    ));
    return steps;
  }
  const routed = routeStep(
    rtnl,
    packet,
    inside ? holder : undefined,
    // The udp backend's one route leads all of the network to the agent, which knows the peers.
    state.backend === "udp" ? state.network : holder?.subnet,
  );
  if (!pass(routed.step)) return steps;
  if (routed.route === undefined || routed.link === undefined) return steps;
  if (!inside) {
    pass(outsideStep(way, routed.link));
    return steps;
  }
  const peer = holder!;
  for (const step of carriage(rtnl, state, routed.route, routed.link, peer)) {
    if (!pass(step)) return steps;
  }
  pass(peerStep(peer, way));
  return steps;
}

function deliveryStep(rtnl: NetlinkSocket, { state, to, address }: Way): TraceStep {
  if (address === state.gateway) {
    return fine("delivery", `${address} is this host's own address on ${state.bridge}`);
  }
  const record = to;
  if (record === undefined) {
    return broken(
      "delivery",
      `no container of this host has ${address}`,
      "Look at the containers: knet status",
    );
  }
  const end = getLink(rtnl, record.hostIfname);
  const bridge = getLink(rtnl, state.bridge);
  if (end === undefined || !end.up || end.master !== bridge?.index) {
    return broken(
      "delivery",
      `${record.hostIfname}, which leads to "${record.netns}", is ${
        end === undefined ? "gone" : "no port of the bridge, or down"
      }`,
      `knet detach ${record.netns}, then knet attach ${record.netns}`,
    );
  }
  return fine("delivery", `the bridge hands it to "${record.netns}" by ${end.name}`);
}

/** Whether it is an address for services that none has. Where hosts' own addresses are among those, knet refuses nothing. */
function isNobodys(
  address: string,
  { serviceNetwork }: NodeState,
  own: readonly InterfaceAddress[],
): boolean {
  return familyOf(address) === familyOf(serviceNetwork) &&
    prefixContains(serviceNetwork, address) &&
    !own.some((one) =>
      one.prefixLength < 32 &&
      prefixesOverlap(serviceNetwork, `${one.address}/${one.prefixLength}`)
    );
}

function outsideStep({ state, leases, address }: Way, link: Link): TraceStep {
  const detail = `leaves the cluster network by ${link.name}`;
  if (state.ipMasq) return fine("outside", `${detail}, under this host's address`);
  const kept = `${detail} with the container's own address as source`;
  const peer = leases.find(({ publicIp }) => publicIp === address);
  if (peer !== undefined && state.backend !== "host-gw") {
    return doubtful(
      "outside",
      `${kept}: "${peer.nodeName}" has another way back to that, and drops it where its rp_filter is 1`,
      `On ${peer.nodeName}: knet doctor; or join with --ip-masq`,
    );
  }
  return doubtful(
    "outside",
    kept,
    "Answers come back only if the routers know the cluster network; else join with --ip-masq",
  );
}

/** What the lease of the receiving host says; its tables are there, not here. */
function peerStep(peer: Lease, { from, address, now, note }: Way): TraceStep {
  const there = `on ${peer.nodeName}, see it with knet trace ${address} ${from.address}`;
  const detail =
    `"${peer.nodeName}" (${peer.publicIp}) has ${peer.subnet}, and delivers it by its bridge`;
  if (now !== undefined && isExpired(peer, now)) {
    return doubtful(
      "peer",
      `${detail}; but its lease is expired: its agent has not renewed it`,
      `Is the host up, and its agent? If it is gone for good: knet lease release ${peer.nodeName}`,
    );
  }
  if (note !== undefined) return doubtful("peer", detail, note);
  return fine("peer", `${detail}; the way back: ${there}`);
}
