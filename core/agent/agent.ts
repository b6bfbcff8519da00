/**
 * The agent: `knet join`. Level-triggered: a store event, a kernel event, a timer and the start all lead to the same reconcile.
 *
 * @module
 */
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import { FileLock, holder } from "../../ffi/file_lock.ts";
import { Nftables } from "../../ffi/libnftables.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { sdNotify, watchdogInterval } from "../../ffi/notify.ts";
import { EventPoll } from "../../ffi/poll.ts";
import { missingCapabilities } from "../../ffi/privilege.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { decodeEvent } from "../../ffi/rtnl/events.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import { openRtnl, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import { readSysctl, writeSysctl } from "../../ffi/sysctl.ts";
import { prefixesOverlap } from "../address.ts";
import { backendOf, overlayMtu } from "../backend/backend.ts";
import { monotonicClock, wallClock } from "../clock.ts";
import {
  type ClusterConfig,
  type ClusterRequest,
  differences,
  makeClusterConfig,
} from "../cluster.ts";
import {
  isStranded,
  listContainers,
  reclaimVanished,
  renumber,
  repairContainers,
} from "../container.ts";
import { KnetError, messageOf } from "../error.ts";
import {
  applyFirewall,
  checkFirewall,
  ensureForward,
  type FirewallDesired,
  peerDelta,
} from "../firewall.ts";
import type { Lease } from "../lease.ts";
import { type NodeIdentity, nodeIdentity } from "../node.ts";
import { type NodeState, writeNodeState } from "../node_state.ts";
import { peerStatus, type StatusReport } from "../status.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { KNET_PROTOCOL, MAIN_TABLE } from "../tables.ts";
import { chooseUnderlay, type Underlay } from "../underlay.ts";
import { driftOf, LinkMemory } from "./drift.ts";
import { Membership } from "./membership.ts";
import { gatewayOf, Overlay, type Reconciled } from "./overlay.ts";
import { serveAgent } from "./server.ts";
import { readSnapshot, writeSnapshot } from "./snapshot.ts";

const log = getLogger(["knet", "agent"]);

/** What the agent is asked to do. */
export interface AgentOptions {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly iface?: string;
  readonly publicIp?: string;
  readonly nodeName?: string;
  readonly nodeId?: string;
  readonly bridge: string;
  readonly ipMasq: boolean;
  readonly peersOnly: boolean;
  /** Program the kernel and return. */
  readonly once: boolean;
  /** Never use next-hop objects. */
  readonly plainRoutes: boolean;
  /** `ADDRESS:PORT` to serve status on as well. */
  readonly listen?: string;
  /** What the command line says of the cluster. */
  readonly config: ClusterRequest;
  readonly signal: AbortSignal;
}

const FAMILY = 4;
const TICK = 1000;
const SLOW_RESYNC = 60_000;
/** Least time between two full reconciles, so that a fight with somebody does not take the processor. */
const BREATH = 150;
const SETTLE = 10;
const NETLINK_NETFILTER = 12; // linux/netlink.h
const NFNLGRP_NFTABLES = 7; // linux/netfilter/nfnetlink.h
const SNAPSHOT_DELAY = 500;

/** Runs the agent until the signal, or with `once` until the kernel is programmed. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const missing = missingCapabilities(["netAdmin"]);
  if (missing.length > 0) {
    throw new KnetError(`Cannot join: the process lacks ${missing.join(", ")}`, {
      exitCode: 3,
      remedy: "Run it as root, or give it the capability",
    });
  }
  Deno.mkdirSync(options.stateDir, { recursive: true, mode: 0o755 });
  Deno.mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const lockPath = join(options.stateDir, "knet.lock");
  using lock = FileLock.acquire(lockPath);
  if (lock === undefined) {
    throw new KnetError(
      `Cannot join: another agent runs on this host (process ${holder(lockPath) ?? "unknown"})`,
      {
        remedy: "Stop it first, or give this one another --state-dir and --data-dir",
      },
    );
  }
  const identity = nodeIdentity(options);
  await using store = await openStore(options.storeUrl);
  using agent = new Agent(options, identity, store);
  await agent.run();
}

class Agent implements Disposable {
  readonly #options: AgentOptions;
  readonly #identity: NodeIdentity;
  readonly #store: Store;
  readonly #rtnl = openRtnl();
  readonly #events = openRtnl({ receiveBuffer: 16 << 20 });
  readonly #nftEvents = NetlinkSocket.open(NETLINK_NETFILTER);
  readonly #nft = new Nftables();
  readonly #poll = new EventPoll();
  readonly #overlay: Overlay;
  readonly #links = new LinkMemory();
  readonly #stop = new AbortController();
  readonly #since = wallClock();
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
  #advice: readonly string[] = [];
  #forwardWarning: string | undefined;
  #lastSnapshot = -Infinity;
  #snapshotTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: AgentOptions, identity: NodeIdentity, store: Store) {
    this.#options = options;
    this.#identity = identity;
    this.#store = store;
    this.#overlay = new Overlay(this.#rtnl, options);
    if (options.signal.aborted) this.#stop.abort();
    options.signal.addEventListener("abort", () => this.#end());
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#snapshotTimer);
    this.#poll.close();
    this.#nft[Symbol.dispose]();
    this.#nftEvents[Symbol.dispose]();
    this.#events[Symbol.dispose]();
    this.#rtnl[Symbol.dispose]();
  }

  #end(): void {
    this.#stop.abort();
    this.#poll.wake();
  }

  async run(): Promise<void> {
    const { once, dataDir } = this.#options;
    this.#underlay = this.#findUnderlay();
    const snapshot = readSnapshot(dataDir, this.#identity.nodeId, (sentence) => log.warn(sentence));
    for (
      const group of [
        RTNLGRP.LINK,
        RTNLGRP.NEIGH,
        RTNLGRP.IPV4_IFADDR,
        RTNLGRP.IPV4_ROUTE,
        RTNLGRP.IPV4_NETCONF,
        RTNLGRP.NEXTHOP,
      ]
    ) {
      try {
        this.#events.joinGroup(group);
      } catch (error) {
        log.debug("{message}", { message: messageOf(error) }); // Kernels before 5.3 have no next-hop group.
      }
    }
    this.#nftEvents.joinGroup(NFNLGRP_NFTABLES);

    this.#membership = new Membership({
      store: this.#store,
      identity: this.#identity,
      family: FAMILY,
      loadConfig: (store) => this.#loadConfig(store, snapshot !== undefined),
      backendOf: (config) => backendOf(config.backend),
      publicIp: () => this.#underlay?.publicIp,
      remembered: snapshot?.own,
      events: {
        onLease: (lease, config, before) => this.#onLease(lease, config, before),
        onAllPeers: (peers) => this.#onAllPeers(peers),
        onSomePeers: (changed, removed) => this.#onSomePeers(changed, removed),
        onHealth: () => this.#tell(),
      },
    });

    if (snapshot !== undefined) {
      // The network first: the store may be away for long.
      this.#config = snapshot.config;
      this.#lease = snapshot.own;
      this.#overlay.setPeers(snapshot.peers);
      this.#configure();
      this.#reconcile("snapshot");
    }
    const following = this.#membership.run(this.#stop.signal);
    following.catch(() => this.#end());
    if (once) {
      await Promise.race([this.#membership.joined, following]);
      if (this.#fatal !== undefined) throw this.#fatal;
      if (this.#problem !== undefined) throw new KnetError(this.#problem);
      this.#keepSnapshot(true);
      this.#end();
      await following;
      return;
    }
    await using _server = serveAgent(this.#options.stateDir, {
      status: () => this.#status(),
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
    await following;
    this.#keepSnapshot(true);
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  async #loadConfig(store: Store, known: boolean): Promise<ClusterConfig> {
    const { config: wanted } = this.#options;
    let config = await store.getConfig();
    const checked = config ?? makeClusterConfig(wanted);
    if (!known) this.#refuseOverlap(checked.network);
    config ??= await store.initConfig(checked);
    const found = differences(config, wanted);
    if (found.length > 0) {
      throw new KnetError(`Cannot join: in this cluster, ${found.join("; ")}`, {
        exitCode: 4,
        remedy: "Leave out the options that contradict the cluster, or use another store",
      });
    }
    return config;
  }

  #refuseOverlap(network: string): void {
    const links = listLinks(this.#rtnl);
    const { bridge } = this.#options;
    for (const route of listRoutes(this.#rtnl, { family: FAMILY, table: MAIN_TABLE })) {
      const name = links.find((link) => link.index === route.ifindex)?.name ?? "";
      if (
        route.dst.endsWith("/0") || route.protocol === KNET_PROTOCOL || name === bridge ||
        name.startsWith("knet") || !prefixesOverlap(route.dst, network)
      ) continue;
      throw new KnetError(
        `Cannot join: the cluster network ${network} overlaps the route ${route.dst} dev ${name}`,
        {
          exitCode: 3,
          remedy: "Choose another --network, or remove the route",
        },
      );
    }
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
      this.#forwardWarning = undefined;
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
    };
  }

  #onLease(lease: Lease, config: ClusterConfig, before: Lease | undefined): void {
    this.#lease = lease;
    this.#config = config;
    this.#configure();
    // At the first join the peers come right behind, in the same breath.
    if (before === undefined || before.subnet === lease.subnet) {
      this.#dirty = true;
      this.#poll.wake();
      return;
    }
    this.#reconcile("renumbering");
    void renumber({
      dataDir: this.#options.dataDir,
      oldSubnet: before.subnet,
      newState: this.#state!,
    }).then(
      ({ moved, stranded }) => {
        log.warn("Renumbered {moved} containers, {stranded} cannot be reached", {
          moved: moved.length,
          stranded: stranded.length,
        });
      },
      (error) => log.error("Cannot renumber containers: {message}", { message: messageOf(error) }),
    );
  }

  #onAllPeers(peers: readonly Lease[]): void {
    this.#overlay.setPeers(peers);
    this.#reconcile("store");
    this.#keepSnapshot();
  }

  #onSomePeers(changed: readonly Lease[], removed: readonly string[]): void {
    const before = new Set(this.#peerAddresses());
    try {
      const done = this.#overlay.changePeers(changed, removed);
      if (done.failures.length > 0) this.#dirty = true;
      const after = new Set(this.#peerAddresses());
      if (this.#options.peersOnly) {
        peerDelta(
          this.#nft,
          [...after].filter((address) => !before.has(address)),
          [...before].filter((address) => !after.has(address)),
        );
      }
    } catch (error) {
      log.debug("{message}", { message: messageOf(error) });
      this.#dirty = true;
    }
    if (this.#dirty) this.#poll.wake();
    this.#keepSnapshot();
    this.#tell();
  }

  #peerAddresses(): string[] {
    return this.#overlay.peers.filter((lease) => lease.agentId !== "").map((lease) =>
      lease.publicIp
    );
  }

  #keepSnapshot(now = false): void {
    clearTimeout(this.#snapshotTimer);
    const write = () => {
      this.#lastSnapshot = monotonicClock();
      if (this.#config === undefined || this.#lease === undefined) return;
      try {
        writeSnapshot(this.#options.dataDir, {
          version: 1,
          config: this.#config,
          own: this.#lease,
          peers: this.#overlay.peers,
        });
      } catch (error) {
        log.warn("{message}", { message: messageOf(error) });
      }
    };
    // The first of a burst at once, the rest together.
    if (now || monotonicClock() - this.#lastSnapshot > SNAPSHOT_DELAY) write();
    else this.#snapshotTimer = setTimeout(write, SNAPSHOT_DELAY);
  }

  #firewallDesired(): FirewallDesired | undefined {
    const state = this.#state;
    const config = this.#config;
    if (state === undefined || config === undefined) return undefined;
    const { backend } = config;
    return {
      network: state.network,
      subnet: state.subnet,
      bridge: state.bridge,
      ipMasq: this.#options.ipMasq,
      peersOnly: this.#options.peersOnly && backend.type !== "host-gw"
        ? { port: backend.port, peers: [...new Set(this.#peerAddresses())].sort() }
        : undefined,
    };
  }

  #reconcileFirewall(): void {
    this.#firewallDirty = false;
    const desired = this.#firewallDesired();
    if (desired === undefined) return;
    try {
      const drift = checkFirewall(this.#nft, desired);
      if (drift !== undefined) {
        applyFirewall(this.#nft, desired);
        log.debug("Wrote the nftables table: {drift}", { drift });
      }
      const { advice } = ensureForward(this.#nft, desired.network);
      this.#advice = advice.map((one) => `${one.detail}: ${one.commands.join("; ")}`);
      this.#forwardWarning = undefined;
    } catch (error) {
      this.#forwardWarning = messageOf(error);
      log.warn("{message}", { message: messageOf(error) });
    }
  }

  #ensureForwarding(): void {
    if (readSysctl("net.ipv4.ip_forward")?.trim() !== "1") {
      writeSysctl("net.ipv4.ip_forward", 1);
      log.info("Set net.ipv4.ip_forward to 1");
    }
  }

  /** Everything: devices, entries, forwarding, firewall, containers, files. */
  #reconcile(why: string): void {
    this.#dirty = false;
    this.#lastFull = monotonicClock();
    if (this.#overlay.context === undefined || this.#state === undefined) return;
    let done: Reconciled;
    try {
      this.#ensureForwarding();
      done = this.#overlay.reconcile();
      this.#reconcileFirewall();
      const repaired = repairContainers(this.#rtnl, {
        dataDir: this.#options.dataDir,
        state: this.#state,
      });
      writeNodeState(this.#options.stateDir, this.#state);
      for (const change of [...done.changes, ...repaired]) log.info("{change}", { change });
    } catch (error) {
      this.#problem = messageOf(error);
      log.error("{message}", { message: this.#problem });
      if (!this.#ready && error instanceof KnetError) {
        // Something of this host is in the way, and the administrator is there to see it.
        this.#fatal = error;
        this.#end();
      }
      this.#tell();
      return;
    }
    const [failure] = done.failures;
    this.#problem = failure === undefined ? undefined : failure.error.message;
    if (failure !== undefined) {
      log.error("{count} entries were refused: {message}", {
        count: done.failures.length,
        message: failure.error.message,
      });
    }
    if (done.operations > 0) {
      log.info("Reconciled {operations} entries ({why})", { operations: done.operations, why });
    }
    const first = !this.#ready;
    this.#ready = true;
    if (first) sdNotify("READY=1");
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

  #drain(): void {
    const { context } = this.#overlay;
    const device = this.#state?.device;
    const watched = {
      device: { index: this.#overlay.device, name: device },
      bridge: { index: this.#overlay.bridge, name: this.#options.bridge },
      underlay: context?.underlay.ifindex ?? this.#underlay?.ifindex ?? 0,
      tables: this.#overlay.tables,
      port: this.#rtnl.portId,
    };
    const { overrun } = this.#events.receive((message) => {
      const drift = driftOf(decodeEvent(message), watched, this.#links);
      if (drift === "overlay") this.#dirty = true;
      else if (drift === "underlay") this.#dirty = this.#underlayDirty = true;
      else if (drift === "sysctl") this.#ensureForwarding();
    });
    if (overrun) this.#dirty = this.#underlayDirty = true;
    const nft = this.#nftEvents.receive(() => this.#firewallDirty = true);
    if (nft.overrun) this.#firewallDirty = true;
  }

  async #loop(): Promise<void> {
    this.#poll.add(this.#events.fd);
    this.#poll.add(this.#nftEvents.fd);
    const watchdog = watchdogInterval();
    let lastTick = monotonicClock();
    let lastNotify = -Infinity;
    while (!this.#stop.signal.aborted) {
      if (!this.#dirty) await this.#poll.wait(TICK);
      if (this.#stop.signal.aborted) break;
      // Changes come in bursts: what arrives within a few milliseconds is one change.
      await new Promise((resolve) => setTimeout(resolve, SETTLE));
      this.#drain();
      const now = monotonicClock();
      if (now - lastTick >= TICK) {
        lastTick = now;
        this.#tick(now);
      }
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
    }
  }

  #tick(now: number): void {
    this.#ensureForwarding();
    if (this.#underlay === undefined) this.#underlayDirty = true;
    if (this.#problem !== undefined || now - this.#lastFull > SLOW_RESYNC) {
      this.#dirty = this.#underlayDirty = true;
      void reclaimVanished({ dataDir: this.#options.dataDir }).catch((error) =>
        log.warn("{message}", { message: messageOf(error) })
      );
    }
  }

  #status(): StatusReport {
    const { health, revision, notifying, own } = this.#membership;
    const lease = own ?? this.#lease;
    const subnet = lease?.subnet ?? "";
    const now = wallClock();
    const warnings = [...this.#advice];
    if (this.#problem !== undefined) warnings.push(this.#problem);
    if (this.#forwardWarning !== undefined) warnings.push(this.#forwardWarning);
    return {
      node: {
        id: this.#identity.nodeId,
        name: this.#identity.nodeName,
        publicIp: this.#underlay?.publicIp ?? "",
        subnet,
        backend: this.#config?.backend.type ?? "vxlan",
        mtu: this.#state?.mtu ?? 0,
        device: this.#state?.device ?? "",
        bridge: this.#options.bridge,
        lease: {
          acquired: lease?.acquired ?? 0,
          renewed: lease?.renewed ?? 0,
          expires: lease?.expires ?? 0,
          reserved: lease?.reserved ?? false,
        },
      },
      agent: {
        running: true,
        pid: Deno.pid,
        since: this.#since,
        ready: this.#ready,
        state: this.#sentence(),
      },
      store: {
        url: this.#store.location,
        state: health.state,
        detail: health.state === "ok" ? notifying : health.detail,
        revision,
      },
      peers: this.#overlay.peers.map((peer) =>
        peerStatus(peer, this.#overlay.desired, this.#overlay.tables, now)
      ),
      containers: listContainers(this.#options.dataDir).map((record) => ({
        netns: record.netns,
        ifname: record.ifname,
        address: record.address,
        stranded: subnet !== "" && isStranded(record, subnet),
      })),
      warnings,
    };
  }
}
