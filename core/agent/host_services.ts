/**
 * The agent's services: from the store through this host's checks and drains into its kernel.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Nftables } from "../../ffi/libnftables.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { monotonicClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import type { ServiceSets, TunnelEnd } from "../kernel/firewall/firewall.ts";
import { type NodeState, overlayWays } from "../cluster/node_state.ts";
import { type Service, type ServiceTimeouts, virtualServerKey } from "../services/service.ts";
import { realServersOf } from "../container/real_servers.ts";
import { ServiceMonitor } from "../health/monitor.ts";
import {
  type Healed,
  KernelServices,
  type ServiceHost,
  type ServicesReconciled,
  type ServiceTunnels,
} from "../kernel/ipvs/kernel_services.ts";
import type { SeenDown } from "../inspect/probe/look.ts";
import {
  reportServices,
  seenDown,
  type ServiceReport,
  type ServicesReport,
} from "../inspect/service_report.ts";
import { MOST_TOLD } from "./service_metrics.ts";
import { foreignOf, kernelOf, keyOf, trafficOf } from "./service_view.ts";
import type { ServiceChanges } from "./membership_options.ts";
import { tidyAfter } from "./tidy.ts";

const log = getLogger(["knet", "service"]);

/** Least time between two repairs that the kernel's announcements lead to: what a fight breaks sooner, the next look repairs. */
const BREATH = 150;

/** What the services of a host are made of. */
export interface HostServicesOptions {
  readonly rtnl: NetlinkSocket;
  /** Undefined on a host without libnftables: nothing is masqueraded then. */
  readonly nft: Nftables | undefined;
  readonly stateDir: string;
  readonly dataDir: string;
  /** Whether virtual IPs are to stay unknown on the underlay. */
  readonly strictArp: boolean;
  /** Addresses that this host lives by, and what each is. */
  readonly needs?: () => ReadonlyMap<string, string>;
  /** Whether virtual servers of others are taken over where a service has the same address. */
  readonly adopt: boolean;
  /** Whether all that is sent to an address is refused once it is no virtual IP any more. */
  readonly refuses?: (address: string) => boolean;
  /** Brings knet's nftables table up to date with {@linkcode HostServices.firewall}. */
  readonly writeFirewall: () => void;
  /** Called when the kernel has something to learn. Returns at once. */
  readonly onDirty: () => void;
  /** What programs the kernel; tests give one that fails. */
  readonly kernel?: KernelServices;
}

/** Services of this host. */
export class HostServices implements Disposable {
  readonly #kernel: KernelServices;
  readonly #monitor: ServiceMonitor;
  /** Whether the services are known: before that, nothing that is in the kernel is known to be too much. */
  #known = false;
  /** Whether they are known by the store's word, not by a snapshot's. */
  #whole = false;
  #host = "";
  #dirty = false;
  #problem: string | undefined;
  /** Whether the last reconcile failed: not all that it left undone is to be seen in the kernel. */
  #undone = false;
  #healed = -Infinity;

  constructor(options: HostServicesOptions) {
    const { rtnl, nft, stateDir, dataDir, strictArp, adopt, writeFirewall, onDirty } = options;
    const adoptAll = () => adopt;
    this.#kernel = options.kernel ?? new KernelServices(rtnl, nft, {
      ...{ dataDir, realServers: realServersOf, strictArp, adopt: adoptAll, writeFirewall },
      ...(options.needs !== undefined && { needs: options.needs }),
      ...(options.refuses !== undefined && { refuses: options.refuses }),
    });
    this.#monitor = new ServiceMonitor({
      stateDir,
      onChange: () => {
        this.#dirty = true;
        onDirty();
      },
    });
  }

  [Symbol.dispose](): void {
    this.#monitor[Symbol.dispose]();
    this.#kernel[Symbol.dispose]();
  }

  /** Whether the kernel has something to learn. */
  get dirty(): boolean {
    return this.#dirty;
  }
  /** What knet's nftables table has to hold; undefined while there are no services. */
  get firewall(): ServiceSets | undefined {
    return this.#kernel.firewall;
  }
  /** Whether knet's nftables table has to let in IPIP. */
  get tunnelEnd(): TunnelEnd | undefined {
    return this.#kernel.tunnelEnd;
  }
  /** Whether IPIP packets of services come in and go out. */
  get tunnels(): ServiceTunnels {
    return this.#kernel.tunnels;
  }
  /** What the administrator should know. */
  get warnings(): string[] {
    return [...(this.#problem === undefined ? [] : [this.#problem]), ...this.#kernel.problems];
  }
  /** For the metrics. */
  get counts(): { readonly count: number; readonly messages: number; readonly checks: number } {
    const { virtualServers, checks } = this.#monitor;
    return { count: virtualServers.size, messages: this.#kernel.messages, checks: checks.size };
  }
  /** What a snapshot keeps. */
  get remembered(): { services: Service[]; timeouts: ServiceTimeouts } | undefined {
    if (!this.#known) return undefined;
    const { timeouts } = this.#monitor.desired;
    return { services: [...this.#monitor.services.values()], timeouts };
  }

  /**
   * Says where this host is in the cluster; takes effect with the next reconcile.
   *
   * @param peers public addresses of the other hosts, asked when it matters; {@linkcode notePeers} says that they changed.
   */
  configure(state: NodeState, peers: ServiceHost["peers"]): void {
    const host: ServiceHost = {
      nodeId: state.nodeId,
      network: state.network,
      subnet: state.subnet,
      gateway: state.gateway,
      publicIp: state.publicIp,
      mtu: state.mtu,
      peers,
      devices: [state.bridge, ...overlayWays(state)],
    };
    const text = JSON.stringify({ ...host, peers: undefined });
    if (text === this.#host) return;
    this.#host = text;
    this.#kernel.configure(host);
    this.#dirty = true;
  }

  /** Peers came or went: hosts are reached otherwise than strangers are, and their addresses are no virtual IPs. */
  notePeers(): void {
    if (this.#kernel.dependsOnPeers) this.#host = "";
  }

  /** Takes what the store has. */
  note({ full, services, removedServices, timeouts, now }: ServiceChanges): void {
    if (full) {
      const { timeouts: before } = this.#monitor.desired;
      this.#monitor.setServices(services, timeouts ?? before, now);
      this.#known = this.#whole = true;
    } else this.#monitor.changeServices(services, removedServices, timeouts, now);
    // Reading them leaves about as much behind as programming them.
    tidyAfter(services.reduce((sum, { destinations }) => sum + destinations.length, 0));
    this.#dirty = true;
  }

  /** Takes what a snapshot kept. Until the store is there and says what time it is, no drain of these ends by its deadline. */
  recall(services: readonly Service[], timeouts: ServiceTimeouts): void {
    this.#monitor.setServices(services, timeouts, undefined);
    this.#known = this.#dirty = true;
  }

  /** Makes the kernel be as it should. A failure is a warning: the overlay goes on. */
  reconcile(): void {
    if (!this.#known || this.#host === "") return;
    this.#dirty = false;
    this.#undone = true;
    const { desired } = this.#monitor;
    this.#attempt(() =>
      this.#kernel.reconcile(this.#whole ? desired : { ...desired, partial: true })
    );
  }

  /** What has to be done every second: seeing drift, and counting the connections of what drains. */
  tick(): void {
    const checked = this.#heal(() => this.#kernel.check());
    const counted = !this.#monitor.draining || this.#attempt(() => this.#countDrains());
    if (checked && counted && !this.#undone) this.#problem = undefined;
  }

  /** What has to be done when the kernel announced something, whatever it was: virtual IPs may be gone. */
  noteKernel(): void {
    if (monotonicClock() - this.#healed >= BREATH) this.#heal(() => this.#kernel.checkVips());
  }

  /** @returns whether the check itself worked. */
  #heal(check: () => Healed | undefined): boolean {
    return this.#attempt(() => {
      const healed = check();
      if (healed === undefined) return undefined;
      this.#healed = monotonicClock();
      const { why, operations } = healed;
      log.info("Put services right: {why} ({operations} messages)", { why, operations });
      return healed;
    });
  }

  /** Real servers that fail this host's checks, for the other hosts. */
  get down(): SeenDown[] {
    return seenDown(this.#monitor);
  }
  /** Of each service, for the metrics; of huge clusters the names alone, and nothing where the kernel cannot be asked. */
  get reports(): readonly ServiceReport[] {
    const { virtualServers } = this.#monitor;
    if (virtualServers.size > MOST_TOLD) {
      return [...virtualServers.keys()].map((name) => ({
        name,
        programmed: true,
        realServers: [],
      }));
    }
    try {
      return this.report().services;
    } catch (error) {
      log.debug("Cannot tell of services: {message}", { message: messageOf(error) });
      return [];
    }
  }

  /** What `knet svc` asks for. */
  report(): ServicesReport {
    const rows = this.#kernel.rows();
    const traffic = new Map(this.#kernel.statistics().map((one) => [keyOf(one), trafficOf(one)]));
    const byName = new Map(rows.map((row) => [row.service, row]));
    return {
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      services: reportServices(
        this.#monitor,
        (name) => kernelOf(byName.get(name), traffic),
        (name) => this.#kernel.problems.find((sentence) => sentence.includes(`"${name}"`)),
      ),
      foreign: rows.filter(({ state }) => state === "foreign").map(foreignOf),
      sysctls: this.#kernel.sysctls().map(({ name, value, current, before, why }) => ({
        name,
        value: current ?? "",
        wanted: value,
        ...(before === undefined ? {} : { before }),
        why,
      })),
      timeouts: this.#monitor.desired.timeouts,
    };
  }

  /**
   * Makes a failure a warning.
   *
   * @param act returns what it programmed; undefined if that was nothing, which says nothing of an earlier problem.
   * @returns whether it worked.
   */
  #attempt(act: () => ServicesReconciled | undefined): boolean {
    try {
      const done = act();
      if (done === undefined) return true;
      this.#undone = false;
      this.#problem = undefined;
      tidyAfter(done.operations);
      for (const change of done.changes) log.info("{change}", { change });
      for (const problem of done.problems) log.warn("{problem}", { problem });
      if (done.operations > 0) log.info("Programmed services: {operations} messages", { ...done });
      return true;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#problem) log.warn("{problem}", { problem });
      this.#problem = problem;
      return false;
    }
  }

  #countDrains(): undefined {
    const connections = this.#kernel.connections();
    if (connections === undefined) return;
    this.#monitor.noteConnections((service, realServer) => {
      const server = this.#monitor.virtualServers.get(service);
      return server && connections.get(virtualServerKey(server))?.get(realServer);
    });
  }
}
