/**
 * The agent: `knet join`. Level-triggered: a store event, a kernel event, a timer and the start all lead to the same reconcile.
 *
 * Longer than others, because it is where all parts of an agent meet: each is handed to the others here, and nowhere else.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { sdNotify } from "../../ffi/notify.ts";
import { backendOf } from "../overlay/backend/backends.ts";
import { monotonicClock, wallClock } from "../base/clock.ts";
import { parsePrefix } from "../base/address.ts";
import { type ClusterConfig, makeClusterConfig } from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import { type NodeIdentity, nodeIdentity } from "../cluster/node_identity.ts";
import type { StatusReport } from "../inspect/status.ts";
import { NO_TIMEOUTS } from "../services/service.ts";
import type { Store } from "../store/store.ts";
import { timedStore } from "../store/timed_store.ts";
import { HostNetwork } from "./host_network.ts";
import { choiceOf, heldBy, HostUnderlay } from "./host_underlay.ts";
import { KernelEvents } from "./kernel_events.ts";
import { Membership } from "./membership.ts";
import type { ServiceChanges } from "./membership_options.ts";
import { runLoop } from "./agent_loop.ts";
import type { AgentOptions, KnownAtStart } from "./agent_options.ts";
import { AgentStore, tellVerdict } from "./agent_store.ts";
import { DockerNames } from "../container/docker/names.ts";
import { ContainerRows } from "./container_rows.ts";
import { contextOf, ownerOf } from "./context.ts";
import { HostBook } from "./host_book.ts";
import { openAgentsStore, refuseOnce } from "./open_store.ts";
import { loadConfig, lockHost, refuseOtherDevices, refusePowerless } from "./preflight.ts";
import { reportStatus, sentenceOf } from "./status_report.ts";
import { serveContainers } from "./container_server.ts";
import { serveAgent } from "./server.ts";
import { endOfStart, statusLine } from "./service_manager.ts";
import { readPaths } from "../inspect/probe/look.ts";
import { lookClosely, pathsOfAll } from "./probe/close_look.ts";
import { readSnapshot, type Snapshot, SnapshotKeeper } from "../store/snapshot.ts";
import { usableSnapshot } from "../store/snapshot_rules.ts";

export type { AgentOptions } from "./agent_options.ts";

const log = getLogger(["knet", "agent"]);

/** How long `--once` waits for a store that is away. */
const ONCE_PATIENCE = 10_000;

/**
 * Runs the agent until the signal, or with `once` until the kernel is programmed.
 *
 * @throws {KnetError} if this host cannot join.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  refusePowerless();
  refuseOnce(options);
  Deno.mkdirSync(options.stateDir, { recursive: true, mode: 0o755 });
  Deno.mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  using _lock = lockHost(options);
  const identity = nodeIdentity(options);
  // Before anything is touched, here and in the store.
  refuseOtherDevices(ownerOf(identity, options), options.bridge);
  using recorded = new AgentStore(options);
  const warn = (sentence: string) => log.warn("{sentence}", { sentence });
  const kept = readSnapshot(options.dataDir, identity.nodeId, warn);
  // Where this host has joined a store already, there is none to be made: it is away, or gone.
  const existing = kept !== undefined;
  const hosts = new HostBook(() => kept === undefined ? [] : [kept.own, ...kept.peers]);
  const { nodeId } = identity;
  await using opened = await openAgentsStore({ ...options, nodeId, existing, hosts });
  const store = recorded.over(opened.store);
  const snapshot = kept && usableSnapshot(kept, warn);
  await using agent = new Agent(options, identity, store, {
    snapshot,
    elsewhere: recorded.elsewhere,
    held: opened.held,
    hosts,
  });
  try {
    await agent.run();
  } catch (error) {
    throw options.once ? error : endOfStart(error, snapshot !== undefined);
  }
}

class Agent implements AsyncDisposable {
  readonly #options: AgentOptions;
  readonly #identity: NodeIdentity;
  readonly #store: Store;
  readonly #events = new KernelEvents();
  readonly #network: HostNetwork;
  readonly #known: KnownAtStart;
  readonly #snapshots: SnapshotKeeper;
  readonly #docker: DockerNames;
  readonly #stop = new AbortController();
  readonly #since = wallClock();
  #underlay!: HostUnderlay;
  #membership!: Membership;
  #config: ClusterConfig | undefined;
  #lease: Lease | undefined;
  #lastFull = -Infinity;
  /** Whether this host cannot be a member: an error that ends the agent. */
  #failed = false;

  constructor(
    options: AgentOptions,
    identity: NodeIdentity,
    store: Store,
    known: KnownAtStart,
  ) {
    this.#known = known;
    this.#options = options;
    this.#identity = identity;
    this.#docker = new DockerNames({ dataDir: options.dataDir, bootId: identity.bootId });
    this.#network = new HostNetwork(options, identity, () => this.#events.wake());
    this.#network.storePort = known.held?.port;
    known.hosts.follow(() => this.#leases());
    const { metrics } = this.#network;
    this.#store = timedStore(store, {
      asked: (call, milliseconds) => metrics.storeAsked(call, milliseconds),
      changed: () => metrics.heard("store"),
      unchanged: () => metrics.heardNothing("store"),
    });
    this.#snapshots = new SnapshotKeeper(
      options.dataDir,
      () => this.#remember(),
      (sentence) => log.warn(sentence),
    );
    if (options.signal.aborted) this.#stop.abort();
    options.signal.addEventListener("abort", () => this.#end());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
    this.#snapshots[Symbol.dispose]();
    this.#events[Symbol.dispose]();
  }

  #end(): void {
    this.#stop.abort();
    this.#events.wake();
  }

  async run(): Promise<void> {
    const network = this.#network;
    const { once } = this.#options;
    const { snapshot } = this.#known;
    const { network: clusterNetwork } = snapshot?.config ?? makeClusterConfig(this.#options.config);
    const { family } = parsePrefix(clusterNetwork);
    this.#events.follow(family);
    this.#underlay = new HostUnderlay(network.rtnl, {
      choice: choiceOf(this.#options, family),
      held: heldBy(snapshot),
      patient: snapshot !== undefined && !once,
      cluster: () => this.#config ?? snapshot?.config,
      bridge: this.#options.bridge,
    });
    network.noteProblems("underlay", this.#underlay.warnings);
    this.#tellPlace();
    this.#membership = this.#makeMembership(family, snapshot);
    this.#network.storeNow = () => this.#membership.storeNow;
    if (snapshot !== undefined) {
      // The network first: the store may be away for long.
      this.#config = snapshot.config;
      this.#lease = snapshot.own;
      network.setPeers(snapshot.peers, "snapshot");
      if (snapshot.services !== undefined) {
        network.services.recall(snapshot.services, snapshot.timeouts ?? NO_TIMEOUTS);
      }
      this.#configure();
      this.#reconcile("snapshot");
    }
    const following = this.#membership.run(this.#stop.signal);
    following.catch(() => {
      this.#failed = true;
      this.#end();
    });
    if (once) {
      await Promise.race([this.#membership.joined, following]);
      if (network.refusal !== undefined) throw network.refusal;
      const problem = network.problem ?? this.#membership.problem;
      if (problem !== undefined) throw new KnetError(problem);
      if (network.overlays.companion !== undefined) {
        log.warn(
          "No packet flows until knet join runs again: the packet loop ends with this command",
        );
      }
      this.#end();
    } else await this.#serve();
    await following;
    this.#snapshots.write();
    if (network.refusal !== undefined) throw network.refusal;
  }

  async #serve(): Promise<void> {
    const network = this.#network;
    await using _server = serveAgent(this.#options.stateDir, {
      status: () => this.#report(),
      metrics: () =>
        network.metrics.text({
          ready: network.ready,
          membership: this.#membership,
          peers: network.overlays.peers,
          entries: network.overlays.counts,
          tunnel: network.overlays.companion?.status,
          containers: this.#report().containers,
          probeOf: (lease) => network.probes.statusOf(lease),
          services: network.services.counts,
          serviceReports: network.services.reports,
        }),
      services: () => network.reportServices(),
      look: (word) =>
        lookClosely(network.probes, word, {
          network: this.#config?.network,
          viaOf: ({ lease }) => network.overlays.pathTo(lease)?.via ?? "none",
        }),
      paths: () => pathsOfAll(network.probes, readPaths),
      notReady: () =>
        network.problem ??
          (network.ready ? undefined : this.#underlay.problem ?? "not programmed yet"),
      stop: () => this.#end(),
    }, this.#options.listen);
    await using _containers = serveContainers(this.#options, network);
    const telling = this.#containerRows().run(this.#stop.signal);
    this.#tell();
    try {
      await runLoop({
        network,
        underlay: this.#underlay,
        events: this.#events,
        dataDir: this.#options.dataDir,
        signal: this.#stop.signal,
        lastFull: () => this.#lastFull,
        reconcile: (why) => this.#reconcile(why),
        look: () => this.#look(),
      });
    } finally {
      this.#end();
      await telling;
      // On a reload knet join runs the next agent at once, and after a failure, it may be, in a while: whoever says that it stops is
      // killed if it goes on.
      const goesOn = this.#failed || network.refusal !== undefined;
      if (this.#options.signal.reason !== "reload" && !goesOn) sdNotify("STOPPING=1");
    }
  }

  /** Tells the store of containers, as long as this host holds its lease there. */
  #containerRows(): ContainerRows {
    return new ContainerRows({
      store: this.#store,
      identity: this.#identity,
      place: this.#docker.place,
      docker: this.#docker,
      holds: () => {
        const { own, health } = this.#membership;
        return health.state === "ok" ? own : undefined;
      },
    });
  }

  #report(): StatusReport {
    return reportStatus({
      identity: this.#identity,
      since: this.#since,
      sentence: this.#sentence(),
      bridge: this.#options.bridge,
      dataDir: this.#options.dataDir,
      docker: this.#docker.containers(this.#identity.nodeId),
      config: this.#config,
      lease: this.#membership.own ?? this.#lease,
      underlay: this.#underlay.now,
      membership: this.#membership,
      storeUrl: this.#store.location,
      copies: this.#known.held?.copies,
      network: this.#network,
    });
  }

  #leases(): readonly Lease[] {
    const own = this.#membership?.own ?? this.#lease;
    return own === undefined ? [] : [own, ...this.#network.overlays.peers];
  }

  #sentence(): string {
    const lease = this.#lease, membership = this.#membership, network = this.#network;
    return sentenceOf({ lease, membership, network, waiting: this.#underlay.waiting });
  }

  #tell(): void {
    if (this.#membership !== undefined) sdNotify(statusLine(this.#sentence()));
  }

  #remember(): Snapshot | undefined {
    const { ready, overlays, services } = this.#network;
    if (!ready || this.#config === undefined || this.#lease === undefined) return undefined;
    const { peers } = overlays;
    const { store } = this.#membership;
    return {
      ...{ version: 1, config: this.#config, own: this.#lease, peers },
      ...services.remembered,
      ...(store !== undefined && { store }),
      underlay: this.#underlay.held,
    };
  }

  #makeMembership(family: Family, snapshot: Snapshot | undefined): Membership {
    const { config: wanted, bridge } = this.#options;
    const { rtnl } = this.#network;
    return new Membership({
      store: this.#store,
      identity: this.#identity,
      family,
      loadConfig: (store) =>
        loadConfig(store, rtnl, family, { wanted, bridge, known: snapshot !== undefined }),
      backendOf: (config) => backendOf(config.backend),
      publicIp: () => this.#underlay.now?.publicIp,
      remembered: snapshot?.own,
      elsewhere: this.#known.elsewhere,
      ...(snapshot?.store !== undefined && { rememberedStore: snapshot.store }),
      ...(snapshot && { rememberedConfig: snapshot.config }),
      ...(this.#options.once ? { patience: ONCE_PATIENCE } : { answersProbes: true }),
      events: {
        onLease: (lease, config, before) => this.#onLease(lease, config, before),
        onAllPeers: (peers) => this.#onAllPeers(peers),
        onSomePeers: (changed, removed) => this.#onSomePeers(changed, removed),
        onServices: (changes) => this.#onServices(changes),
        onHealth: () => this.#onHealth(),
      },
    });
  }

  #onHealth(): void {
    tellVerdict(this.#options.stateDir, this.#store.location, this.#membership.health);
    this.#tell();
  }

  #onLease(lease: Lease, config: ClusterConfig, before: Lease | undefined): void {
    this.#lease = lease;
    this.#config = config;
    this.#configure();
    // At the first join the peers come right behind, and what is ready is ready with them.
    if (before === undefined) return this.#look();
    if (before.subnet === lease.subnet) {
      this.#network.invalidate();
      this.#events.wake();
      return;
    }
    this.#reconcile("renumbering");
    void this.#network.renumber(before.subnet);
  }

  #onAllPeers(peers: readonly Lease[]): void {
    this.#network.setPeers(peers);
    this.#reconcile("store");
    this.#snapshots.touch();
  }

  #onSomePeers(changed: readonly Lease[], removed: readonly string[]): void {
    this.#network.changePeers(changed, removed);
    if (this.#network.dirty) this.#events.wake();
    this.#snapshots.touch();
    this.#tell();
  }

  #onServices(changes: ServiceChanges): void {
    this.#network.changeServices(changes);
    this.#snapshots.touch();
  }

  /** Looks at the underlay: it may be another one, or have another address. */
  #look(): void {
    const change = this.#underlay.look();
    this.#network.noteProblems("underlay", this.#underlay.warnings);
    if (change === undefined) return;
    this.#tellPlace();
    this.#configure();
    this.#network.invalidate();
    this.#snapshots.touch();
    if (change === "address") this.#membership.refresh({ reset: true, renew: true });
  }

  /** Hosts that are missed are searched for from there. */
  #tellPlace(): void {
    const { now } = this.#underlay;
    if (now === undefined) return;
    const { address, name, ifindex, ways = name === "lo" ? [] : [{ name, ifindex }] } = now;
    this.#known.held?.at({ address, devices: ways });
  }

  #configure(): void {
    const underlay = this.#underlay.now;
    if (this.#config === undefined || this.#lease === undefined || underlay === undefined) return;
    this.#network.configure(contextOf(this.#config, this.#lease, underlay));
  }

  #reconcile(why: string): void {
    const network = this.#network;
    const { ready } = network;
    this.#lastFull = monotonicClock();
    network.reconcile(why);
    if (network.state === undefined) return; // Without a lease there was nothing to do.
    if (network.ready && !ready) sdNotify("READY=1");
    if (network.refusal !== undefined) this.#end();
    this.#tell();
  }
}
