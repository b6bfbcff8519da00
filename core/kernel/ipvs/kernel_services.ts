/**
 * Services in this host's kernel: virtual IPs, virtual servers, real servers, masquerading, kernel parameters. Level-triggered, and
 * synchronous: between two awaits of the caller the kernel is in one piece.
 *
 * Longer than others: what comes and what goes has one order over all of them, and that is to be read in one place.
 *
 * @module
 */
import { MissingFamilyError } from "../../../ffi/genl/genl.ts";
import { IpvsSocket } from "../../../ffi/genl/ipvs.ts";
import { IpvsProc } from "../../../ffi/genl/ipvs_proc.ts";
import { type IpvsService, listServices } from "../../../ffi/genl/ipvs_service.ts";
import type { Nftables } from "../../../ffi/libnftables.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import { familyOf } from "../../base/address.ts";
import { KnetError } from "../../base/error.ts";
import type { Endpoint, ServiceSets, TunnelEnd } from "../firewall/firewall.ts";
import { bootId } from "../../cluster/node_identity.ts";
import type { ParametersSet } from "../device_parameters.ts";
import { applyServices } from "./apply_servers.ts";
import { FormerVips } from "./former_vips.ts";
import { KernelMirror } from "./kernel_mirror.ts";
import { type KernelServer, kernelServer } from "./kernel_server.ts";
import { MasqueradeKeeper } from "./masquerade.ts";
import {
  isDirect,
  NO_TIMEOUTS,
  PROTOCOLS,
  type ServicesDesired,
  type VirtualServer,
} from "../../services/service.ts";
import { meetForeign, placeServers } from "./place_servers.ts";
import { planServices } from "./plan_servers.ts";
import {
  explain,
  type Healed,
  type KernelServicesOptions,
  mtusOf,
  type RealServers,
  type ServiceHost,
  type ServicesReconciled,
  type ServiceTunnels,
  tunnelsOf,
} from "./kernel_services_types.ts";
import { achieved, intended, RecordKeeper, UNSEEN } from "./owned_servers.ts";
import { type Connection, connectionsOf, type ServiceRow, serviceRows } from "./shown_servers.ts";
import { SysctlKeeper } from "./sysctl_keeper.ts";
import { type SysctlRow, wantedSysctls } from "./sysctls.ts";
import { ensureTimeouts } from "./timeout_keeper.ts";
import { tunnelEndOf } from "./tunnel_end.ts";
import { VipKeeper } from "./vip_keeper.ts";
import { VIP_DEVICE } from "./vips.ts";

export type {
  Healed,
  KernelServicesOptions,
  ServiceHost,
  ServicesReconciled,
  ServiceTunnels,
} from "./kernel_services_types.ts";

const NOTHING: ServicesDesired = { virtualServers: [], timeouts: NO_TIMEOUTS };
const MOST_PATIENCE = 64;
const TAKEN = "what this host has or needs of addresses changed";

/** Services of one network namespace: that of the thread when it is made, and at every call. */
export class KernelServices implements Disposable {
  readonly #rtnl: NetlinkSocket;
  readonly #options: KernelServicesOptions;
  readonly #record: RecordKeeper;
  readonly #sysctls: SysctlKeeper;
  readonly #vips: VipKeeper;
  readonly #masquerade: MasqueradeKeeper;
  readonly #realServers: RealServers;
  #host: ServiceHost | undefined;
  #ipvs: IpvsSocket | undefined;
  #proc: IpvsProc | undefined;
  #mirror: KernelMirror | undefined;
  /** Whether the mirror is known to be what the kernel has. */
  #known = false;
  #desired = NOTHING;
  #kernelServers = new WeakMap<VirtualServer, KernelServer>();
  #problems: readonly string[] = [];
  #blocked: ReadonlySet<string> = new Set();
  /** Virtual IPs that are other hosts' addresses. */
  #peerVips: ReadonlySet<string> = new Set();
  /** All virtual IPs that are wanted. */
  #wantedVips: ReadonlySet<string> = new Set();
  /** Those that this host cannot have, when it was looked last. */
  #lost = "";
  #tunnels: ServiceTunnels = { tunnelsIn: false, tunnelsOut: false };
  #tunnelEnd: TunnelEnd | undefined;
  readonly #former = new FormerVips();
  #failures = 0;
  #patience = 0;

  /**
   * @param nft where knet's table is kept; its sets are changed here, the table itself is the caller's, see {@linkcode firewall}.
   */
  constructor(rtnl: NetlinkSocket, nft: Nftables | undefined, options: KernelServicesOptions) {
    this.#rtnl = rtnl;
    this.#options = options;
    const host = { rtnl, dataDir: options.dataDir, bootId: bootId() };
    this.#record = new RecordKeeper(host.dataDir, host.bootId);
    this.#sysctls = new SysctlKeeper(this.#record);
    this.#vips = new VipKeeper(rtnl);
    this.#masquerade = new MasqueradeKeeper(nft);
    this.#realServers = options.realServers(host, this.#record);
  }

  /** Generic netlink messages sent so far. */
  get messages(): number {
    return this.#ipvs?.messages ?? 0;
  }
  /** What the nftables table has to hold for the services; undefined while there are none. */
  get firewall(): ServiceSets | undefined {
    return this.#masquerade.sets;
  }
  /** Whether the nftables table has to let in IPIP; undefined: it comes to nobody. */
  get tunnelEnd(): TunnelEnd | undefined {
    return this.#tunnelEnd;
  }
  /** Which IPIP packets its services make on this host. */
  get tunnels(): ServiceTunnels {
    return this.#tunnels;
  }
  /** What is not as the store wants it, in sentences. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Whether a host that comes or goes makes a difference to what the kernel has to hold. */
  get dependsOnPeers(): boolean {
    const { peers } = this.#host ?? {};
    return peers !== undefined &&
      this.#desired.virtualServers.some(({ address, realServers }) =>
        (realServers[0]?.forward ?? "nat") !== "nat" ||
        peers.has(address) !== this.#peerVips.has(address)
      );
  }

  /** Says what this host is; takes effect with the next reconcile. */
  configure(host: ServiceHost): void {
    this.#host = host;
    this.#kernelServers = new WeakMap();
  }

  /**
   * Makes the kernel be as it should. What it has is read only if it is not known: at the start, and after a drift.
   *
   * @param options.deep Dumps all virtual servers, also what the cheap reading does not show.
   * @throws {KnetError} exit code 3 if the kernel has no IPVS.
   * @throws {NetlinkError} if the kernel refuses a device or a dump.
   */
  reconcile(
    desired: ServicesDesired,
    options: { readonly deep?: boolean } = {},
  ): ServicesReconciled {
    const host = this.#host;
    if (host === undefined) throw new TypeError("Cannot program services: configure() comes first");
    this.#desired = desired;
    const problems: string[] = [];
    const changes: string[] = [];
    if (this.#isIdle(desired)) {
      this.#problems = [];
      return { operations: 0, changes, failures: [], problems, firewallDirty: false };
    }
    const mirror = this.#open();
    const family = familyOf(host.network);
    const deep = options.deep === true;
    const known = this.#known && !deep;
    // Until this is through: whatever stops it, the next look begins anew.
    this.#known = false;
    const wanted = this.#want(desired, host, mirror, { known, deep }, problems);
    const servers = desired.virtualServers.filter((one) => wanted.has(this.#kernel(one).key));
    const sysctls = this.#setSysctls(servers, host);
    changes.push(...sysctls.changes);
    problems.push(...sysctls.problems);

    const operations = planServices(wanted, mirror.servers, desired.partial);
    this.#record.save({ servers: intended(this.#record.record.servers, wanted) });
    const vips = mtusOf(servers, host);
    this.#tunnels = tunnelsOf(servers, host);
    if (desired.partial) this.#keepVips(vips, mirror, host.mtu);
    // What comes, comes from the inside out: masquerading, virtual server, virtual IP. What goes, goes the other way.
    const sameVips = this.#vips.holds(vips, host.gateway);
    if (!sameVips) {
      const gone = this.#vips.release(host.nodeId, vips, this.#source(host, problems));
      this.#former.note(gone.filter((vip) => this.#options.refuses?.(vip) !== true));
    }
    this.#masquerade.dirty = false;
    const end = this.#tunnels.tunnelsIn ? tunnelEndOf(this.#rtnl) : undefined;
    if (end !== this.#tunnelEnd) this.#masquerade.dirty = true;
    this.#tunnelEnd = end;
    const former = this.#former.without(vips);
    this.#masquerade.widen(servers, family, this.#others(desired, mirror), host.peers, former);
    this.#writeFirewall();
    const failures = applyServices(this.#ipvs!, operations);
    mirror.advance(operations, failures);
    if (!sameVips) changes.push(...this.#vips.bind());
    const missing = servers.filter((one) => !mirror.servers.has(this.#kernel(one).key));
    this.#masquerade.narrow(family, missing);
    this.#writeFirewall();
    this.#record.save({ servers: achieved(this.#record.record.servers, mirror.servers) });
    const timeouts = ensureTimeouts(this.#ipvs!, this.#record, desired.timeouts);
    if (timeouts !== undefined) problems.push(timeouts);
    const equipped = this.#realServers.ensure(servers, [host.publicIp, host.gateway]);
    changes.push(...equipped.changes);
    problems.push(...equipped.problems);

    this.#known = true;
    this.#failures = failures.length === 0 ? 0 : this.#failures + 1;
    this.#patience = Math.min(MOST_PATIENCE, 2 ** this.#failures);
    problems.push(...failures.map((failure) => explain(failure, servers)));
    problems.push(...this.#vipProblems(servers));
    this.#problems = problems;
    const firewallDirty = this.#masquerade.dirty;
    return { operations: operations.length, changes, failures, problems, firewallDirty };
  }

  /**
   * Looks whether the kernel still has what it should, by one read of /proc/net/ip_vs and one of the virtual IPs, and puts right
   * what is not. To be called every second.
   *
   * @returns what was done and why; undefined if all was right.
   */
  check(): Healed | undefined {
    const mirror = this.#mirror;
    if (mirror === undefined || this.#host === undefined) return undefined;
    let why = this.#known ? mirror.drift() : "the last reconcile failed";
    if (why !== undefined) this.#known = false;
    else if (!this.#sysctls.isRight()) why = "kernel parameters were changed";
    else if (!this.#vips.isRight()) why = "virtual IPs are not as they should be";
    else if (this.#lostVips() !== this.#lost) why = TAKEN;
    else if ([...this.#blocked].some((key) => !mirror.foreign.has(key))) {
      why = "a foreign virtual server is gone";
    } else if (this.#realServers.containersChanged()) {
      why = "containers that are real servers came, went or changed";
    } else if (this.#former.areOver()) {
      why = "former virtual IPs have been gone for long enough";
    } else if (this.#failures > 0 && --this.#patience <= 0) {
      this.#known = false;
      why = "the kernel refused something before";
    }
    return why === undefined ? undefined : { ...this.reconcile(this.#desired), why };
  }

  /** As {@linkcode check}, of what the kernel announces: virtual IPs. Costs next to nothing while it announces nothing. */
  checkVips(): Healed | undefined {
    if (this.#host === undefined || this.#mirror === undefined) return undefined;
    const wrong = !this.#vips.undisturbed && !this.#vips.isRight();
    if (!wrong && this.#lostVips() === this.#lost) return undefined;
    const why = wrong ? "virtual IPs are not as they should be" : TAKEN;
    return { ...this.reconcile(this.#desired), why };
  }

  /**
   * Removes everything that is knet's from the kernel, as `knet leave` wants it. Masquerading goes with knet's table.
   *
   * @returns names of the devices that were removed.
   */
  removeAll(): string[] {
    const { record } = this.#record;
    if (record.servers.size > 0 || record.timeoutsBefore.tcp > 0) {
      const mirror = this.#open();
      mirror.read(record.servers, new Map());
      applyServices(this.#ipvs!, planServices(new Map(), mirror.servers));
      mirror.servers = new Map();
      ensureTimeouts(this.#ipvs!, this.#record, NO_TIMEOUTS);
    }
    this.#realServers.ensure([], []);
    const removed = this.#vips.remove().length > 0;
    this.#sysctls.restore();
    this.#record.clear();
    this.#desired = NOTHING;
    this.#problems = [];
    this.#former.clear();
    this.#mirror = undefined;
    return removed ? [VIP_DEVICE] : [];
  }

  /** Each service as the kernel has it, and behind them the virtual servers of others. */
  rows(): ServiceRow[] {
    const shown = this.#mirror?.shown() ?? [];
    const facts = { blocked: this.#blocked, vips: this.#vips.bound() };
    return serviceRows(this.#desired.virtualServers, shown, facts);
  }

  /**
   * Connections of all real servers, by the keys of virtual and real server; one read of a file.
   *
   * @returns undefined while nothing is known of the kernel: that says nothing of connections.
   */
  connections(): Map<string, Map<string, Connection>> | undefined {
    return this.#mirror && connectionsOf(this.#mirror.shown());
  }

  /** All virtual servers with their counters; one message. */
  statistics(): IpvsService[] {
    return this.#ipvs === undefined ? [] : listServices(this.#ipvs);
  }

  /** The kernel parameters that services need, as they are. */
  sysctls(): SysctlRow[] {
    return this.#sysctls.rows();
  }

  [Symbol.dispose](): void {
    this.#vips[Symbol.dispose]();
    this.#proc?.[Symbol.dispose]();
    this.#ipvs?.[Symbol.dispose]();
    this.#mirror = this.#proc = this.#ipvs = undefined;
  }

  /** A cluster without services needs no IPVS, and has none loaded. */
  #isIdle(desired: ServicesDesired): boolean {
    const { servers, containers } = this.#record.record;
    return desired.virtualServers.length === 0 && servers.size === 0 && containers.length === 0 &&
      this.#mirror === undefined;
  }

  #open(): KernelMirror {
    if (this.#mirror !== undefined) return this.#mirror;
    try {
      this.#ipvs ??= IpvsSocket.open();
      this.#proc ??= IpvsProc.open();
    } catch (error) {
      if (!(error instanceof MissingFamilyError)) throw error;
      throw new KnetError("Cannot program services: this kernel has no IPVS (module ip_vs)", {
        cause: error,
        exitCode: 3,
        remedy: "Load the kernel module ip_vs (modprobe ip_vs), or install the kernel that has it",
      });
    }
    this.#known = false;
    return this.#mirror = new KernelMirror(this.#ipvs, this.#proc);
  }

  #kernel(server: VirtualServer): KernelServer {
    let kernel = this.#kernelServers.get(server);
    if (kernel === undefined) {
      kernel = kernelServer(server, this.#host!);
      this.#kernelServers.set(server, kernel);
    }
    return kernel;
  }

  /** The virtual servers that shall be knet's: all that are wanted, but those whose place somebody else has. */
  #want(
    desired: ServicesDesired,
    host: ServiceHost,
    mirror: KernelMirror,
    { known, deep }: { readonly known: boolean; readonly deep: boolean },
    problems: string[],
  ): Map<string, KernelServer> {
    const kernelOf = (server: VirtualServer) => this.#kernel(server);
    const placed = placeServers(desired.virtualServers, {
      kernelOf,
      taken: this.#takenAddresses(),
      peers: host.peers,
    });
    const { wanted } = placed;
    this.#wantedVips = new Set(desired.virtualServers.map(({ address }) => address));
    this.#lost = this.#lostVips();
    this.#peerVips = placed.peerVips;
    if (!known) mirror.read(this.#record.record.servers, wanted, deep);
    else {
      const fresh = [...wanted.values()].filter(({ key }) => !mirror.servers.has(key));
      if (fresh.length > 0) mirror.lookFor(fresh);
    }
    // Without a record, a virtual IP on knet's own device tells whose a virtual server is.
    const bound = this.#record.isEmpty && mirror.foreign.size > 0 ? this.#vips.bound() : undefined;
    const met = meetForeign(desired.virtualServers, wanted, {
      kernelOf,
      foreign: mirror.foreign,
      adopts: (server) => this.#options.adopt?.(server) || bound?.has(server.address) === true,
    });
    for (const key of met.blocked) wanted.delete(key);
    this.#blocked = met.blocked;
    problems.push(...placed.problems, ...met.problems);
    const { servers } = this.#record.record;
    const adopted = new Map([...servers, ...met.adopted.map((key) => [key, UNSEEN] as const)]);
    if (adopted.size > servers.size) {
      this.#record.save({ servers: adopted });
      mirror.read(adopted, wanted, deep);
    }
    return wanted;
  }

  /** Addresses that are no virtual IPs here: a service there would take the host's own traffic. */
  #takenAddresses(): Map<string, string> {
    const taken = new Map(this.#options.needs?.());
    const own = [
      this.#host!.publicIp,
      ...this.#vips.otherAddresses().map(({ address }) => address),
    ];
    for (const address of own) taken.set(address, "an address of this host");
    return taken;
  }

  /** Those virtual IPs that are taken, as one text. */
  #lostVips(): string {
    if (this.#wantedVips.size === 0) return "";
    return [...this.#takenAddresses().keys()].filter((one) => this.#wantedVips.has(one)).sort()
      .join();
  }

  /** What answers at virtual IPs beside knet's virtual servers: those of others, also where a service would have its place. */
  #others(desired: ServicesDesired, mirror: KernelMirror): Endpoint[] {
    const foreign = [...mirror.foreign.values()].flatMap(({ family, address, protocol, port }) => {
      const known = PROTOCOLS.find((one) => one === protocol.toLowerCase());
      return known === undefined ? [] : [{ family, address, port, protocol: known }];
    });
    if (this.#blocked.size === 0) return foreign;
    const blocked = desired.virtualServers.filter((one) =>
      this.#blocked.has(this.#kernel(one).key)
    );
    return [...blocked, ...foreign];
  }

  /** Virtual IPs of virtual servers that stay without being wanted stay, too. */
  #keepVips(vips: Map<string, number>, mirror: KernelMirror, mtu: number): void {
    const bound = this.#vips.bound();
    const taken = this.#takenAddresses();
    for (const { address } of mirror.servers.values()) {
      if (bound.has(address) && !taken.has(address) && !vips.has(address)) vips.set(address, mtu);
    }
  }

  #source(host: ServiceHost, problems: string[]): string | undefined {
    if (this.#vips.otherAddresses().some(({ address }) => address === host.gateway)) {
      return host.gateway;
    }
    problems.push(`Requests of this host itself lack a source: no device has ${host.gateway}`);
    return undefined;
  }

  #writeFirewall(): void {
    if (!this.#masquerade.dirty || this.#options.writeFirewall === undefined) return;
    this.#options.writeFirewall();
    this.#masquerade.dirty = false;
  }

  #setSysctls(servers: readonly VirtualServer[], host: ServiceHost): ParametersSet {
    return this.#sysctls.ensure(wantedSysctls({
      release: readSysctl("kernel.osrelease") ?? "",
      strictArp: this.#options.strictArp === true,
      direct: servers.some(isDirect),
      devices: host.devices,
    }));
  }

  #vipProblems(servers: readonly VirtualServer[]): string[] {
    const { refused } = this.#vips;
    if (refused.size === 0) return [];
    return servers.filter(({ address }) => refused.has(address)).map(({ service, address }) =>
      `Service "${service}" lacks its virtual IP ${address}: ${refused.get(address)!.message}`
    );
  }
}
