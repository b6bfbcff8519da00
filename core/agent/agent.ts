/**
 * The agent: `knet join`. Level-triggered: a store event, a kernel event, a timer and the start all lead to the same reconcile.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { sdNotify, watchdogInterval } from "../../ffi/notify.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { backendOf, overlayMtu } from "../backend/backend.ts";
import { monotonicClock, wallClock } from "../clock.ts";
import type { ClusterConfig } from "../cluster.ts";
import { reclaimVanished, renumber, repairContainers } from "../container.ts";
import { KnetError, messageOf } from "../error.ts";
import type { FirewallDesired } from "../firewall.ts";
import type { Lease } from "../lease.ts";
import { type NodeIdentity, nodeIdentity } from "../node.ts";
import { type NodeState, writeNodeState } from "../node_state.ts";
import type { StatusReport } from "../status.ts";
import { NO_TIMEOUTS } from "../service/model.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { MAIN_TABLE } from "../tables.ts";
import { chooseUnderlay, type Underlay } from "../underlay.ts";
import type { Watched } from "./drift.ts";
import { ensureForwarding, HostFirewall } from "./host_firewall.ts";
import { KernelEvents } from "./kernel_events.ts";
import { Membership, type ServiceChanges } from "./membership.ts";
import { agentMetrics, Counters } from "./metrics.ts";
import type { AgentOptions } from "./options.ts";
import { gatewayOf, Overlay, type Reconciled } from "./overlay.ts";
import { PeerAddresses } from "./peer_addresses.ts";
import { loadConfig, lockHost, refusePowerless } from "./preflight.ts";
import { reportStatus } from "./report.ts";
import { serveAgent } from "./server.ts";
import { HostServices } from "./services.ts";
import { readSnapshot, type Snapshot, SnapshotKeeper } from "./snapshot.ts";
import { tidyAfter } from "./tidy.ts";

export type { AgentOptions } from "./options.ts";

const log = getLogger(["knet", "agent"]);

const FAMILY = 4;
/** Milliseconds between two looks at what sends no notification. */
const TICK = 1000;
const SLOW_RESYNC = 60_000;
/** Least time between two full reconciles, so that a fight with somebody does not take the processor. */
const BREATH = 150;
const SETTLE = 10;
/** How long `--once` waits for a store that is away. */
const ONCE_PATIENCE = 10_000;

/**
 * Runs the agent until the signal, or with `once` until the kernel is programmed.
 *
 * @throws {KnetError} if this host cannot join.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  refusePowerless();
  Deno.mkdirSync(options.stateDir, { recursive: true, mode: 0o755 });
  Deno.mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  using _lock = lockHost(options.stateDir);
  const identity = nodeIdentity(options);
  await using store = await openStore(options.storeUrl);
  await using agent = new Agent(options, identity, store);
  await agent.run();
}

class Agent implements AsyncDisposable {
  readonly #options: AgentOptions;
  readonly #identity: NodeIdentity;
  readonly #store: Store;
  readonly #rtnl = openRtnl();
  readonly #events = new KernelEvents();
  readonly #firewall: HostFirewall;
  readonly #overlay: Overlay;
  readonly #services: HostServices;
  readonly #snapshots: SnapshotKeeper;
  readonly #stop = new AbortController();
  readonly #since = wallClock();
  readonly #counters = new Counters();
  readonly #addresses = new PeerAddresses();
  #membership!: Membership;
  #underlay: Underlay | undefined;
  #config: ClusterConfig | undefined;
  #lease: Lease | undefined;
  #state: NodeState | undefined;
  #dirty = false;
  #firewallDirty = false;
  #underlayDirty = false;
  #lastFull = -Infinity;
  #ready = false;
  #problem: string | undefined;
  #fatal: KnetError | undefined;

  constructor(options: AgentOptions, identity: NodeIdentity, store: Store) {
    this.#options = options;
    this.#identity = identity;
    this.#store = store;
    this.#firewall = new HostFirewall(options);
    this.#services = new HostServices({
      rtnl: this.#rtnl,
      nft: this.#firewall.nft,
      stateDir: options.stateDir,
      dataDir: options.dataDir,
      strictArp: options.strictArp,
      adopt: options.adopt,
      writeFirewall: () => this.#reconcileFirewall(),
      onDirty: () => this.#events.wake(),
    });
    this.#overlay = new Overlay(this.#rtnl, options, () => {
      this.#dirty = true;
      this.#events.wake();
    });
    this.#snapshots = new SnapshotKeeper(
      options.dataDir,
      () => this.#snapshot(),
      (sentence) => log.warn(sentence),
    );
    if (options.signal.aborted) this.#stop.abort();
    options.signal.addEventListener("abort", () => this.#end());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#overlay.close();
    this.#snapshots[Symbol.dispose]();
    this.#services[Symbol.dispose]();
    this.#events[Symbol.dispose]();
    this.#firewall[Symbol.dispose]();
    this.#rtnl[Symbol.dispose]();
  }

  #end(): void {
    this.#stop.abort();
    this.#events.wake();
  }

  async run(): Promise<void> {
    const { dataDir } = this.#options;
    this.#underlay = this.#findUnderlay();
    const snapshot = readSnapshot(dataDir, this.#identity.nodeId, (sentence) => log.warn(sentence));
    this.#membership = this.#makeMembership(snapshot);
    if (snapshot !== undefined) {
      // The network first: the store may be away for long.
      this.#config = snapshot.config;
      this.#lease = snapshot.own;
      this.#setPeers(snapshot.peers);
      if (snapshot.services !== undefined) {
        this.#services.recall(snapshot.services, snapshot.timeouts ?? NO_TIMEOUTS, wallClock());
      }
      this.#configure();
      this.#reconcile("snapshot");
    }
    const following = this.#membership.run(this.#stop.signal);
    following.catch(() => this.#end());
    if (this.#options.once) {
      await Promise.race([this.#membership.joined, following]);
      if (this.#fatal !== undefined) throw this.#fatal;
      if (this.#problem !== undefined) throw new KnetError(this.#problem);
      if (this.#overlay.tunnel !== undefined) {
        log.warn(
          "No packet flows until knet join runs again: the packet loop ends with this command",
        );
      }
      this.#end();
    } else await this.#serve();
    await following;
    this.#snapshots.write();
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  async #serve(): Promise<void> {
    await using _server = serveAgent(this.#options.stateDir, {
      status: () => this.#report(),
      metrics: () =>
        agentMetrics({
          counters: this.#counters,
          ready: this.#ready,
          since: this.#since,
          membership: this.#membership,
          overlay: this.#overlay,
          containers: this.#report().containers,
          services: this.#services.counts,
        }),
      services: () => this.#services.report(),
      notReady: () => this.#ready ? this.#problem : this.#problem ?? "not programmed yet",
      stop: () => this.#end(),
    }, this.#options.listen);
    this.#tell();
    try {
      await this.#loop();
    } finally {
      this.#end();
      // On a reload knet join runs the next agent at once.
      if (this.#options.signal.reason !== "reload") sdNotify("STOPPING=1");
    }
  }

  #report(): StatusReport {
    return reportStatus({
      identity: this.#identity,
      since: this.#since,
      ready: this.#ready,
      sentence: this.#sentence(),
      warnings: [
        ...this.#firewall.warnings,
        ...this.#services.warnings,
        ...(this.#problem === undefined ? [] : [this.#problem]),
      ],
      bridge: this.#options.bridge,
      dataDir: this.#options.dataDir,
      config: this.#config,
      lease: this.#membership.own ?? this.#lease,
      state: this.#state,
      underlay: this.#underlay,
      membership: this.#membership,
      storeUrl: this.#store.location,
      overlay: this.#overlay,
    });
  }

  #makeMembership(snapshot: Snapshot | undefined): Membership {
    const { config: wanted, bridge } = this.#options;
    return new Membership({
      store: this.#store,
      identity: this.#identity,
      family: FAMILY,
      loadConfig: (store) =>
        loadConfig(store, this.#rtnl, FAMILY, { wanted, bridge, known: snapshot !== undefined }),
      backendOf: (config) => backendOf(config.backend),
      publicIp: () => this.#underlay?.publicIp,
      remembered: snapshot?.own,
      ...(this.#options.once && { patience: ONCE_PATIENCE }),
      events: {
        onLease: (lease, config, before) => this.#onLease(lease, config, before),
        onAllPeers: (peers) => this.#onAllPeers(peers),
        onSomePeers: (changed, removed) => this.#onSomePeers(changed, removed),
        onServices: (changes) => this.#onServices(changes),
        onHealth: () => this.#tell(),
      },
    });
  }

  #findUnderlay(): Underlay {
    const { iface, publicIp } = this.#options;
    return chooseUnderlay(
      {
        links: listLinks(this.#rtnl),
        addresses: listAddresses(this.#rtnl),
        routes: listRoutes(this.#rtnl, { family: FAMILY, table: MAIN_TABLE }),
      },
      {
        family: FAMILY,
        ...(iface !== undefined && { iface }),
        ...(publicIp !== undefined && { publicIp }),
      },
      this.#underlay?.address,
    );
  }

  /** Looks at the underlay again. An interface without an address changes nothing: it may get it back. */
  #checkUnderlay(): void {
    const before = this.#underlay;
    let now: Underlay;
    try {
      now = this.#findUnderlay();
    } catch (error) {
      log.warn("{message}", { message: messageOf(error) });
      return;
    }
    this.#underlay = now;
    if (JSON.stringify(before) === JSON.stringify(now)) return;
    this.#configure();
    this.#dirty = true;
    if (before?.address !== now.address || before?.publicIp !== now.publicIp) {
      log.info("Underlay address is {address} now", { address: now.address });
      this.#membership.refresh({ reset: true, renew: true });
    }
  }

  #configure(): void {
    const config = this.#config;
    const lease = this.#lease;
    const underlay = this.#underlay;
    if (config === undefined || lease === undefined || underlay === undefined) return;
    const mtu = overlayMtu(config, underlay, FAMILY);
    const context = {
      config,
      family: FAMILY,
      nodeId: this.#identity.nodeId,
      subnet: lease.subnet,
      backendData: lease.backendData,
      underlay,
      announced: lease.publicIp === underlay.publicIp,
      mtu,
    } as const;
    this.#overlay.configure(context);
    const device = backendOf(config.backend).device(context)?.name;
    this.#state = {
      nodeId: this.#identity.nodeId,
      nodeName: this.#identity.nodeName,
      network: config.network,
      serviceNetwork: config.serviceNetwork,
      subnet: lease.subnet,
      gateway: gatewayOf(lease.subnet),
      mtu,
      bridge: this.#options.bridge,
      ipMasq: this.#options.ipMasq,
      backend: config.backend.type,
      ...(device !== undefined && { device }),
      publicIp: underlay.publicIp,
      iface: underlay.name,
    };
  }

  #onLease(lease: Lease, config: ClusterConfig, before: Lease | undefined): void {
    this.#lease = lease;
    this.#config = config;
    this.#configure();
    // At the first join the peers come right behind, and what is ready is ready with them.
    if (before === undefined) return;
    if (before.subnet === lease.subnet) {
      this.#dirty = true;
      this.#events.wake();
      return;
    }
    this.#reconcile("renumbering");
    void this.#renumber(before.subnet, this.#state!);
  }

  async #renumber(oldSubnet: string, newState: NodeState): Promise<void> {
    const { dataDir } = this.#options;
    try {
      const { moved, stranded } = await renumber({ dataDir, oldSubnet, newState });
      log.warn("Renumbered {moved} containers, {stranded} cannot be reached", {
        moved: moved.length,
        stranded: stranded.length,
      });
    } catch (error) {
      log.error("Cannot renumber containers: {message}", { message: messageOf(error) });
    }
  }

  #setPeers(peers: readonly Lease[]): void {
    this.#overlay.setPeers(peers);
    this.#addresses.set(peers);
    this.#services.notePeers();
  }

  #onAllPeers(peers: readonly Lease[]): void {
    this.#setPeers(peers);
    this.#reconcile("store");
    this.#snapshots.touch();
  }

  #onSomePeers(changed: readonly Lease[], removed: readonly string[]): void {
    const addresses = this.#addresses.change(changed, removed);
    if (addresses.add.length + addresses.remove.length > 0) this.#services.notePeers();
    try {
      const done = this.#overlay.changePeers(changed, removed);
      this.#counters.reconciled("peers", done);
      if (done.failures.length > 0) this.#dirty = true;
      if (this.#options.peersOnly) this.#firewall.changePeers(addresses);
    } catch (error) {
      log.debug("{message}", { message: messageOf(error) });
      this.#dirty = true;
    }
    this.#reconcileServices();
    if (this.#dirty) this.#events.wake();
    this.#snapshots.touch();
    this.#tell();
  }

  #onServices(changes: ServiceChanges): void {
    this.#services.note(changes);
    this.#reconcileServices();
    this.#snapshots.touch();
  }

  /** Virtual IPs and all that hangs on them. */
  #reconcileServices(): void {
    // Before the bridge is there, nothing could come back from a service.
    if (this.#state === undefined || this.#overlay.bridge === 0) return;
    this.#services.configure(this.#state, this.#addresses);
    if (this.#services.dirty) this.#services.reconcile();
  }

  #snapshot(): Snapshot | undefined {
    if (!this.#ready || this.#config === undefined || this.#lease === undefined) return undefined;
    const peers = this.#overlay.peers;
    const services = this.#services.remembered;
    return { version: 1, config: this.#config, own: this.#lease, peers, ...services };
  }

  #firewallDesired(): FirewallDesired | undefined {
    const state = this.#state;
    const backend = this.#config?.backend;
    if (state === undefined || backend === undefined) return undefined;
    return {
      network: state.network,
      subnet: state.subnet,
      bridge: state.bridge,
      ipMasq: this.#options.ipMasq,
      peersOnly: this.#options.peersOnly && backend.type !== "host-gw"
        ? { port: backend.port, peers: this.#addresses.all }
        : undefined,
      services: this.#services.firewall,
    };
  }

  #reconcileFirewall(): void {
    this.#firewallDirty = false;
    const desired = this.#firewallDesired();
    if (desired !== undefined) this.#firewall.reconcile(desired);
  }

  /** Everything: devices, entries, forwarding, firewall, containers, files. */
  #reconcile(why: string): void {
    this.#dirty = false;
    this.#lastFull = monotonicClock();
    if (this.#overlay.context === undefined || this.#state === undefined) return;
    let done: Reconciled;
    try {
      ensureForwarding();
      done = this.#overlay.reconcile();
      this.#services.configure(this.#state, this.#addresses);
      this.#services.reconcile();
      this.#reconcileFirewall();
      const repaired = repairContainers(this.#rtnl, {
        dataDir: this.#options.dataDir,
        state: this.#state,
      });
      writeNodeState(this.#options.stateDir, this.#state);
      for (const change of [...done.changes, ...repaired]) log.info("{change}", { change });
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#counters.reconciled(why, done);
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
    if (!this.#ready) sdNotify("READY=1");
    this.#ready = true;
    this.#tell();
  }

  #fail(error: unknown): void {
    this.#problem = messageOf(error);
    this.#counters.failed();
    log.error("{message}", { message: this.#problem });
    if (!this.#ready && error instanceof KnetError) {
      // Something of this host is in the way, and the administrator is there to see it.
      this.#fatal = error;
      this.#end();
    }
    this.#tell();
  }

  #sentence(): string {
    if (this.#problem !== undefined) return this.#problem;
    const { health, takenOver } = this.#membership;
    if (takenOver !== undefined) {
      return `node id taken over by "${takenOver.nodeName}" at ${takenOver.publicIp}`;
    }
    if (health.state === "away") return `waiting for the store: ${health.detail}`;
    return this.#ready ? `${this.#lease?.subnet}, ${this.#overlay.peers.length} peers` : "joining";
  }

  #tell(): void {
    if (this.#membership !== undefined) sdNotify(`STATUS=${this.#sentence()}`);
  }

  #watched(): Watched {
    return {
      device: { index: this.#overlay.device, name: this.#state?.device },
      bridge: { index: this.#overlay.bridge, name: this.#options.bridge },
      underlay: this.#overlay.context?.underlay ?? this.#underlay,
      tables: this.#overlay.tables,
      port: this.#rtnl.portId,
    };
  }

  #drain(): void {
    const news = this.#events.read(this.#watched());
    this.#counters.noticed(news);
    if (news.overlay) this.#dirty = true;
    if (news.underlay) this.#underlayDirty = true;
    if (news.firewall) this.#firewallDirty = true;
    if (news.sysctl) ensureForwarding();
  }

  async #loop(): Promise<void> {
    const watchdog = watchdogInterval();
    let lastTick = monotonicClock();
    let lastNotify = -Infinity;
    while (!this.#stop.signal.aborted) {
      if (!this.#dirty) await this.#events.wait(Math.max(0, lastTick + TICK - monotonicClock()));
      if (this.#stop.signal.aborted) break;
      // Changes come in bursts: what arrives within a few milliseconds is one change.
      await new Promise((resolve) => setTimeout(resolve, SETTLE));
      this.#drain();
      const now = monotonicClock();
      if (now - lastTick >= TICK) {
        lastTick = now;
        this.#tick(now);
      } else this.#services.noteKernel();
      if (watchdog !== undefined && now - lastNotify >= watchdog / 3) {
        lastNotify = now;
        sdNotify("WATCHDOG=1");
      }
      if (this.#underlayDirty) {
        this.#underlayDirty = false;
        this.#checkUnderlay();
      }
      if (this.#dirty) {
        const wait = this.#lastFull + BREATH - monotonicClock();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        this.#drain();
        this.#reconcile("drift");
      } else if (this.#firewallDirty) this.#reconcileFirewall();
      if (this.#services.dirty) this.#reconcileServices();
    }
  }

  #tick(now: number): void {
    ensureForwarding();
    this.#services.tick();
    if (this.#underlay === undefined) this.#underlayDirty = true;
    if (this.#problem !== undefined || now - this.#lastFull > SLOW_RESYNC) {
      this.#dirty = this.#underlayDirty = true;
      void reclaimVanished({ dataDir: this.#options.dataDir }).catch((error) =>
        log.warn("{message}", { message: messageOf(error) })
      );
    }
  }
}
