/**
 * All that the agent programs on this host, and the one reconcile that makes it be as it should. When that happens is for the agent
 * to say. Everything here is synchronous but containers' move to another subnet.
 *
 * Longer than others: the order of what is programmed, and what becomes of a part that fails, is to be read in one place.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { nthAddress } from "../base/address.ts";
import { monotonicClock, wallClock } from "../base/clock.ts";
import type { BackendContext } from "../overlay/backend/backend.ts";
import { renumber, repairContainers } from "../container/container.ts";
import { reclaimContainers } from "./reclaim.ts";
import { plural } from "../base/plural.ts";
import { KnetError, messageOf } from "../base/error.ts";
import type { Lease } from "../cluster/lease.ts";
import type { NodeIdentity } from "../cluster/node_identity.ts";
import { type NodeState, readNodeState, writeNodeState } from "../cluster/node_state.ts";
import type { Underlay } from "../overlay/underlay.ts";
import type { FirewallDesired, ServiceSets } from "../kernel/firewall/firewall.ts";
import type { Watched } from "./drift.ts";
import {
  firewallDesired,
  guardsTunnel,
  HostFirewall,
  isRefused,
  passNeeds,
  type RefusedNetwork,
  refusedNetwork,
  unrefused,
} from "./host_firewall.ts";
import type { KernelNews } from "./kernel_events.ts";
import type { ServiceChanges } from "./membership_options.ts";
import { AgentMetrics } from "./metrics.ts";
import type { AgentOptions } from "./agent_options.ts";
import { bothSet, IP_FORWARD, setParameters } from "../kernel/device_parameters.ts";
import { type Owner, refuseOthers } from "../kernel/owner.ts";
import type { Reconciled } from "../overlay/overlay.ts";
import { gatewayOf } from "../overlay/own_devices.ts";
import { Overlays } from "../overlay/overlays.ts";
import { PeerAddresses } from "./peer_addresses.ts";
import { ownerOf, stateOf } from "./context.ts";
import { HostNeeds } from "./host_needs.ts";
import { HostPorts } from "./host_ports.ts";
import { HostServices } from "./host_services.ts";
import type { ServicesReport } from "../inspect/service_report.ts";
import { PeerProbes } from "./probe/peer_probes.ts";
import { tidyAfter } from "./tidy.ts";

const log = getLogger(["knet", "agent"]);

/** What may fail while all the rest goes on. */
type Aside =
  | "refusal"
  | "underlay"
  | "parameters"
  | "devices"
  | "containers"
  | "ports"
  | "poll"
  | "turn"
  | "probes";

/** This host's overlay, services, firewall, containers and files. */
export class HostNetwork implements AsyncDisposable {
  /** The socket that everything is programmed by. */
  readonly rtnl = openRtnl();
  readonly overlays: Overlays;
  readonly services: HostServices;
  readonly metrics = new AgentMetrics();
  /** What tries the paths to peers. */
  readonly probes: PeerProbes;
  /** The store's clock, which leases go by; as long as nobody follows a store, this host's. */
  storeNow: () => number = wallClock;
  /** The port of the store that the hosts hold themselves; undefined where they do not. */
  storePort: number | undefined;
  readonly #options: AgentOptions;
  readonly #identity: NodeIdentity;
  readonly #owner: Owner;
  readonly #firewall: HostFirewall;
  readonly #needs: HostNeeds;
  readonly #ports: HostPorts;
  readonly #addresses = new PeerAddresses();
  #state: NodeState | undefined;
  #dirty = false;
  #firewallDirty = false;
  /** The address on the underlay before this one: peers may not have heard of the change. */
  #former: string | undefined;
  #firewallSeen = false;
  /** The sets of services when other programs' chains were looked at last. */
  #passed: ServiceSets | undefined;
  #containersDirty = false;
  #ready = false;
  #problem: string | undefined;
  /** What went wrong beside the reconcile, by what it was. */
  readonly #aside = new Map<Aside, readonly string[]>();
  #refusal: KnetError | undefined;

  /**
   * @param onDirty Called when the kernel has something to learn. Returns at once.
   * @throws {KnetError} exit code 3 if the firewall cannot be what it was asked to be.
   */
  constructor(options: AgentOptions, identity: NodeIdentity, onDirty: () => void) {
    this.#options = options;
    this.#identity = identity;
    this.#firewall = new HostFirewall(options);
    this.#needs = new HostNeeds(this.rtnl, options.storeUrl);
    this.#ports = new HostPorts(options);
    this.services = new HostServices({
      rtnl: this.rtnl,
      needs: () => this.#needs.addresses,
      refuses: (address) => {
        const [context] = this.overlays.contexts;
        return context !== undefined && isRefused(this.#refused(context), address);
      },
      nft: this.#firewall.nft,
      stateDir: options.stateDir,
      dataDir: options.dataDir,
      strictArp: options.strictArp,
      adopt: options.adopt,
      writeFirewall: () => this.reconcileFirewall(),
      onDirty,
    });
    const recorded = readNodeState(options.stateDir);
    this.#owner = ownerOf(identity, options);
    const known = {
      owner: this.#owner,
      recorded: recorded?.device === undefined ? [] : [recorded.device],
    };
    this.overlays = new Overlays(this.rtnl, { ...options, known }, () => {
      this.#dirty = true;
      onDirty();
    });
    this.probes = new PeerProbes({
      node: identity.nodeName,
      viaOf: (lease) => this.overlays.pathTo(lease)?.via,
      storeNow: () => this.storeNow(),
      isPublic: (address) => this.#addresses.has(address),
      down: () => this.services.down,
    });
    // Until the store has said who is there.
    this.overlays.keep = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.probes[Symbol.asyncDispose]();
    await this.overlays[Symbol.asyncDispose]();
    this.services[Symbol.dispose]();
    this.#firewall[Symbol.dispose]();
    this.rtnl[Symbol.dispose]();
  }

  /** This host's place in the cluster; undefined before `configure`. */
  get state(): NodeState | undefined {
    return this.#state;
  }
  /** Whether everything has to be reconciled. */
  get dirty(): boolean {
    return this.#dirty;
  }
  /** Whether the firewall has to be, if nothing else. */
  get firewallDirty(): boolean {
    return this.#firewallDirty;
  }
  /** Whether everything was programmed once. */
  get ready(): boolean {
    return this.#ready;
  }
  /** What went wrong with the last reconcile. */
  get problem(): string | undefined {
    return this.#problem;
  }
  /** What of this host was in the way before it was ready: the administrator is there to see it. */
  get refusal(): KnetError | undefined {
    return this.#refusal;
  }
  /** What the administrator should know. */
  get warnings(): string[] {
    return [
      ...this.#firewall.warnings,
      ...this.services.warnings,
      ...this.overlays.contests,
      ...this.probes.warnings,
      ...[...this.#aside.values()].flat(),
      ...(this.#problem === undefined ? [] : [this.#problem]),
    ];
  }

  /** What of the kernel's events is about this network on that underlay. */
  watched(underlay: Underlay | undefined): Watched {
    return {
      devices: this.overlays.devices,
      names: new Set([this.#state?.device ?? this.#options.bridge, this.#options.bridge]),
      bridge: this.#options.bridge,
      underlay,
      entries: this.overlays,
      port: this.rtnl.portId,
    };
  }

  /** Takes what the kernel tells. */
  note(news: KernelNews): void {
    this.metrics.noticed(news);
    if (news.overlay) this.#dirty = true;
    if (news.firewall) this.#firewallDirty = true;
    if (news.host) {
      this.#needs.forget();
      // What is refused may be another part of the service network.
      this.#firewallDirty = true;
    }
    if (news.sysctl) this.#keepParameters();
    if (news.containers) this.#containersDirty = true;
  }

  /** Says what went wrong beside the reconcile: once in the log, and in status for as long as it lasts. */
  noteProblems(what: Aside, problems: readonly string[]): void {
    const before = this.#aside.get(what) ?? [];
    this.#aside.set(what, problems);
    for (const problem of problems) {
      if (!before.includes(problem)) log.warn("{problem}", { problem });
    }
  }

  /** Does something that may fail while all the rest goes on. */
  #attempt(what: Aside, act: () => void): void {
    try {
      act();
      this.noteProblems(what, []);
    } catch (error) {
      this.noteProblems(what, [messageOf(error)]);
    }
  }

  /** Lets the host forward packets, and keeps IPv6 off where it is not wanted. */
  #keepParameters(): void {
    const own = setParameters([IP_FORWARD, ...this.#ports.parameters]);
    const done = bothSet(own, this.overlays.keepParameters());
    for (const change of done.changes) log.info("{change}", { change });
    this.noteProblems("parameters", done.problems);
  }

  /** Asks for a reconcile of everything. */
  invalidate(): void {
    this.#dirty = true;
  }

  /** What has to be done every second, because no notification tells of it. What it cannot do is a problem in status. */
  tick(): void {
    this.#keepParameters();
    // Kinds of entries that the kernel does not tell of.
    this.#attempt("poll", () => {
      if (this.overlays.poll().length > 0) this.#dirty = true;
    });
    // Not at once: every attach is news of its own wire, and each look reads all links of the host.
    if (this.#containersDirty && this.#ready && !this.#dirty && this.#state !== undefined) {
      this.#repairContainers(this.#state);
    }
    this.services.tick();
    this.#followServices();
    this.probes.tick();
  }

  /** Says what this host is by one of its leases; takes effect with the next reconcile. */
  configure(context: BackendContext): void {
    const before = this.overlays.contexts[0]?.underlay.address;
    if (before !== undefined && before !== context.underlay.address) this.#former = before;
    this.overlays.configure(context);
    this.#state = stateOf(context, this.#identity, this.#options);
  }

  /**
   * Replaces all peers; takes effect with the next reconcile.
   *
   * @param by Whose word it is. A snapshot is written with a delay, and lacks who came last: nothing is taken away by it.
   */
  setPeers(peers: readonly Lease[], by: "store" | "snapshot" = "store"): void {
    this.overlays.keep = by === "snapshot";
    this.overlays.setPeers(peers);
    this.#addresses.set(peers);
    this.probes.setPeers(peers);
    this.services.notePeers();
  }

  /** Applies changes of some peers at once. What fails makes everything dirty. */
  changePeers(changed: readonly Lease[], removed: readonly string[]): void {
    const addresses = this.#addresses.change(changed, removed);
    this.probes.changePeers(changed, removed);
    if (addresses.add.length + addresses.remove.length > 0) this.services.notePeers();
    try {
      const start = monotonicClock();
      const done = this.overlays.changePeers(changed, removed);
      this.metrics.reconciled("peers", done, monotonicClock() - start, ["store"]);
      if (done.failures.length > 0) this.#dirty = true;
      const [context] = this.overlays.contexts;
      if (context !== undefined && guardsTunnel(context, this.#options)) {
        this.#firewall.changePeers(addresses, context.family);
      }
    } catch (error) {
      log.debug("{message}", { message: messageOf(error) });
      this.#dirty = true;
    }
    this.reconcileServices();
  }

  /** What this host makes of the services, with what its firewall does to them. */
  reportServices(): ServicesReport {
    const report = this.services.report();
    const { warnings } = this.#firewall;
    return report.services.length === 0 || warnings.length === 0 ? report : { ...report, warnings };
  }

  /** Applies changes of services at once. */
  changeServices(changes: ServiceChanges): void {
    this.services.note(changes);
    this.reconcileServices();
    this.metrics.followed("store");
  }

  /** Virtual IPs and all that hangs on them. */
  reconcileServices(): void {
    // Before the bridge is there, nothing could come back from a service.
    if (this.#state === undefined || this.overlays.devices.size === 0) return;
    this.services.configure(this.#state, this.#addresses);
    if (this.services.dirty) this.services.reconcile();
    this.#followServices();
  }

  /** knet's nftables table and its rules in foreign chains. */
  reconcileFirewall(): void {
    this.#firewallDirty = false;
    this.#firewallSeen = true;
    const desired = this.#firewallDesired();
    const [context] = this.overlays.contexts;
    if (desired === undefined || context === undefined) return;
    this.#passed = this.services.firewall;
    const needs = passNeeds(context, desired, { ...this.services.tunnels, store: this.storePort });
    const { changes } = this.#ports.guarded(
      this.#firewall.nft,
      () => this.#firewall.reconcile(desired, needs, this.overlays.keep),
    );
    for (const change of changes) log.info("{change}", { change });
    // Whoever changed the book meanwhile has changed the maps before this wrote them.
    if (this.#ports.outdated) this.reconcileFirewall();
  }

  /** What other programs' chains have to let through may be something else with other services. */
  #followServices(): void {
    if (this.#ready && this.services.firewall !== this.#passed) this.reconcileFirewall();
  }

  #refused({ config }: Pick<BackendContext, "config">): RefusedNetwork {
    const { connected, routed } = this.#needs;
    return refusedNetwork(config.serviceNetwork, connected, routed);
  }

  #firewallDesired(): FirewallDesired | undefined {
    const [context] = this.overlays.contexts;
    if (context === undefined) return undefined;
    const { firewall, tunnelEnd } = this.services;
    const refused = this.#refused(context);
    const left = unrefused(context.config.serviceNetwork, refused);
    this.noteProblems("refusal", left === undefined ? [] : [left]);
    this.#attempt("ports", () => this.#ports.read(context.subnet));
    const ports = this.#ports.maps;
    return {
      ...firewallDesired(
        context,
        this.#options,
        this.#addresses,
        firewall,
        refused,
        tunnelEnd,
        this.#former,
      ),
      ...(ports !== undefined && { ports }),
    };
  }

  /**
   * Nobody but peers sends to the tunnel from its first moment on.
   *
   * @throws {KnetError} if that cannot be had and there is no tunnel yet. One that is there goes on, and status tells.
   */
  #guardTunnel(): void {
    const desired = this.#firewallDesired();
    if (desired === undefined) return;
    try {
      this.#firewall.guard(desired);
    } catch (error) {
      if (!this.#ready) throw error;
      log.warn("{message}", { message: messageOf(error) });
    }
  }

  /** Everything: devices, entries, forwarding, firewall, containers, files. */
  reconcile(why: string): void {
    this.#dirty = false;
    const state = this.#state;
    if (state === undefined) return;
    const start = monotonicClock();
    let done: Reconciled;
    try {
      // One that came in between. What works already goes on.
      if (!this.#ready) refuseOthers(listLinks(this.rtnl), this.#owner);
      this.#keepParameters();
      this.#guardTunnel();
      done = this.overlays.reconcile();
      this.noteProblems("devices", done.problems);
      this.services.configure(state, this.#addresses);
      this.#firewallSeen = false;
      this.services.reconcile();
      // Services that come need the table first; looking twice finds nothing more.
      if (!this.#firewallSeen) this.reconcileFirewall();
      this.#repairContainers(state);
      writeNodeState(this.#options.stateDir, state);
      for (const change of done.changes) log.info("{change}", { change });
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.metrics.reconciled(why, done, monotonicClock() - start);
    const [failure] = done.failures;
    this.#problem = failure?.error.message;
    if (failure !== undefined) {
      log.error("{count} entries were refused: {message}", {
        count: done.failures.length,
        message: failure.error.message,
      });
    }
    if (done.operations > 0) {
      log.info("Reconciled {operations} entries ({why})", { operations: done.operations, why });
      tidyAfter(done.operations);
    }
    this.#ready = true;
    this.#placeProbes();
  }

  /** Paths are tried as long as the agent runs, from where this host is. */
  #placeProbes(): void {
    const [overlay] = this.overlays.all;
    const context = overlay?.context;
    if (this.#options.once || overlay === undefined || context === undefined) return;
    const { config: { backend }, subnet, underlay, mtu } = context;
    this.#attempt("probes", () =>
      this.probes.configure({
        ...{ gateway: gatewayOf(subnet), subnet: nthAddress(subnet, 0), address: underlay.address },
        ...{ mtu, bridge: overlay.bridge, announced: underlay.publicIp },
        port: backend.type === "host-gw" ? undefined : backend.port,
      }));
  }

  #repairContainers(state: NodeState): void {
    this.#containersDirty = false;
    this.#attempt("containers", () => {
      const { dataDir } = this.#options;
      const { done, gone } = repairContainers(this.rtnl, { dataDir, state });
      for (const change of done) log.info("{change}", { change });
      // Not every runtime comes to say so: the next container may want the address, or the port.
      if (gone) void reclaimContainers(dataDir);
    });
  }

  #fail(error: unknown): void {
    this.#problem = messageOf(error);
    this.metrics.failed();
    log.error("{message}", { message: this.#problem });
    if (!this.#ready && error instanceof KnetError) this.#refusal = error;
  }

  /** Gives containers addresses of the subnet that this host has now. */
  async renumber(oldSubnet: string): Promise<void> {
    const { dataDir } = this.#options;
    try {
      const { moved, stranded } = await renumber({ dataDir, oldSubnet, newState: this.#state! });
      log.warn("Renumbered {moved}, {stranded} cannot be reached", {
        moved: plural(moved.length, "container"),
        stranded: stranded.length,
      });
    } catch (error) {
      log.error("Cannot renumber containers: {message}", { message: messageOf(error) });
    }
  }
}
