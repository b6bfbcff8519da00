/**
 * The store side of the agent: holds this host's lease and follows everybody else's. The kernel never waits for it: what it learns it
 * hands over in calls that return at once, and while the store is away nothing is handed over at all.
 *
 * Longer than others, because taking, keeping and losing the lease are one state.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { monotonicClock, random, sleep, wallClock } from "../base/clock.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { isClones, isQuestion } from "../cluster/allocate.ts";
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import { DifferentStoreError, SettlingStoreError } from "../store/identity.ts";
import { NoStoreError } from "../store/location.ts";
import { EmptiedStoreError } from "../store/emptied.ts";
import type { RememberedStore } from "../store/store_memory.ts";
import type { Changes } from "../store/store.ts";
import { StoreWatch } from "./store_watch.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import { DrainClock } from "./drain_clock.ts";
import { GuardedEvents } from "./guarded_events.ts";
import { LeftOut } from "./left_out.ts";
import type { MembershipOptions, StoreHealth } from "./membership_options.ts";
import { Pruner } from "./pruner.ts";
import { PROBE_VERSION } from "../inspect/probe/message.ts";
import { peerKey } from "../overlay/overlay.ts";
import { UnusableConfigError } from "../store/config_row.ts";
import { backoff, Wake } from "./wake.ts";

const log = getLogger(["knet", "membership"]);

const SLOW_POLL = 60_000;
/** Milliseconds that a living holder of this node's row has to answer; a store without notifications is polled in them. */
const ANSWER_TIME = 4000;
/** Milliseconds after which a public address that another host has is tried again. */
const RIVAL_RETRY = 15_000;

/** Whether an error passes by itself. */
function passes(error: unknown): boolean {
  return error instanceof StoreAwayError || error instanceof SettlingStoreError;
}

/** Whether an error says that the store is not the one that this host knows. */
function isOther(error: unknown): boolean {
  return error instanceof DifferentStoreError || error instanceof NoStoreError ||
    error instanceof EmptiedStoreError;
}

/** Follows the store until aborted. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #events: GuardedEvents;
  readonly #leftOut = new LeftOut();
  readonly #wake = new Wake();
  #config: ClusterConfig | undefined;
  #own: Lease | undefined;
  readonly #watch: StoreWatch;
  /** Whether the store may not be the one that this host knows: nothing is written before it has been read. */
  #doubtful = false;
  /** Public addresses that this host's row may have: the one it had, and those that it was given without an answer. */
  readonly #addresses = new Set<string>();
  #renewAt = 0;
  #renewals = 0;
  #takenOver: Lease | undefined;
  /** Ends {@linkcode run}. */
  #signal: AbortSignal | undefined;
  #rival: Lease | undefined;
  /** Why no host can have this one's new public address. */
  #unfit: string | undefined;
  #health: StoreHealth = { state: "unknown", detail: "not asked yet" };
  #notifying = "";
  readonly #pruner = new Pruner();
  readonly #drains = new DrainClock();
  readonly #joined = Promise.withResolvers<void>();

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#events = new GuardedEvents(options.events);
    this.#own = options.remembered;
    if (options.remembered !== undefined) this.#addresses.add(options.remembered.publicIp);
    this.#config = options.rememberedConfig;
    const { store, rememberedStore, remembered, elsewhere } = options;
    const member = remembered !== undefined;
    const lastGood = () => this.#config;
    this.#watch = new StoreWatch(store, rememberedStore, { member, lastGood, elsewhere });
    this.#joined.promise.catch(() => {}); // Whoever awaits it sees the error; nobody has to.
  }

  /** Resolves when the lease is held by the store's word; rejects if the store refuses it. */
  get joined(): Promise<void> {
    return this.#joined.promise;
  }
  get health(): StoreHealth {
    return this.#health;
  }
  /** How changes are noticed, in words. */
  get notifying(): string {
    return this.#notifying;
  }
  get own(): Lease | undefined {
    return this.#own;
  }
  get revision(): number {
    return this.#watch.revision;
  }
  /** The store's clock, which leases go by. */
  get storeNow(): number {
    return this.#watch.now;
  }
  /** What a snapshot keeps of the store. */
  get store(): RememberedStore | undefined {
    return this.#watch.remembered;
  }
  /** How often the lease was renewed. */
  get renewals(): number {
    return this.#renewals;
  }
  /** The agent that took this node's row, if one did. */
  get takenOver(): Lease | undefined {
    return this.#takenOver;
  }

  /** The host that has this one's new public address already: peers are told the old one. */
  get rival(): Lease | undefined {
    return this.#rival;
  }

  /** What of the store's news could not be taken: it is handed over again. */
  get problem(): string | undefined {
    return this.#events.problems[0];
  }

  /** What is wrong with the configuration that the store holds: this host goes on with the one that it had. */
  get configProblem(): string | undefined {
    return this.#leftOut.config;
  }

  /** What the administrator should know. */
  get warnings(): string[] {
    const unfit = this.#unfit === undefined
      ? []
      : [`Peers go on using this host's old public address: of the new one, ${this.#unfit}`];
    return [...this.#events.problems, ...unfit, ...this.#leftOut.warnings];
  }

  /** Looks at the store soon: the public address changed, or the administrator asked. */
  refresh(options: { reset?: boolean; renew?: boolean } = {}): void {
    if (options.reset) this.#options.store.reset();
    if (options.renew) this.#renewAt = 0;
    this.#wake.notify();
  }

  /**
   * Runs until the signal. Only an error of the first join ends it early.
   *
   * @throws {KnetError} if the store refuses this node.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    const started = monotonicClock();
    let failures = 0;
    let joined = false;
    this.#signal = signal;
    let wasAway = false;
    const onChange = () => {
      this.#watch.heard();
      this.#wake.notify();
    };
    using _subscription = store.subscribe(onChange, (state, detail) => {
      this.#notifying = detail;
      // Whoever tells of changes again may be another server, with other rows.
      if (state === "away") {
        wasAway = true;
        // Whether it answers is to be seen now, not in a while; one that does not is asked by and by.
        if (this.#health.state === "ok") onChange();
      } else if (wasAway) {
        wasAway = false;
        this.#watch.doubt();
      }
      log.debug("Store notifications: {state}: {detail}", { state, detail });
    });
    while (!signal.aborted) {
      try {
        if (!joined) {
          await this.#join(signal);
          joined = true;
        } else if (!this.#doubtful && monotonicClock() >= this.#renewAt) await this.#renew();
        await this.#pull(signal);
        this.#doubtful = false;
        if (this.#pruner.due) await this.#pruner.prune(store);
        if (monotonicClock() >= this.#drains.due) {
          this.#drains.swept();
          await store.sweepDrained();
          await this.#pull(signal);
        }
        failures = 0;
        this.#setHealth({ state: "ok", detail: store.location });
        this.#pruner.answered();
        this.#joined.resolve();
        const due = Math.min(this.#renewAt, this.#drains.due, this.#rereadAt) - monotonicClock();
        const pause = Math.min(SLOW_POLL, Math.max(Math.min(due, this.#watch.due), 10));
        await this.#wake.sleep(pause, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!joined && this.#isFinal(error, started)) {
          this.#joined.reject(error);
          throw error;
        }
        this.#pruner.broke();
        this.#watch.doubt();
        this.#doubtful = true;
        this.#noteTrouble(error);
        this.#events.onHealth();
        // It may be one of several servers, and another one the right one.
        if (isOther(error)) store.reset();
        // A store that answers with a refusal is asked less often than one that does not answer.
        const limit = passes(error) ? 2000 : 4000;
        await this.#wake.sleep(backoff(failures++, limit), signal);
      }
    }
  }

  /**
   * Whether an error ends the first join: what the administrator asked for contradicts the store, or there
   * is nothing that the host could work with meanwhile.
   */
  #isFinal(error: unknown, started: number): boolean {
    const { patience, remembered } = this.#options;
    if (passes(error)) {
      return patience !== undefined && monotonicClock() - started >= patience;
    }
    if (isOther(error) && remembered !== undefined) return patience !== undefined;
    return patience !== undefined || remembered === undefined ||
      (error instanceof KnetError && error.exitCode === 4);
  }

  #noteTrouble(error: unknown): void {
    const detail = error instanceof DifferentStoreError ? error.what : messageOf(error);
    const remedy = error instanceof KnetError ? error.remedy : undefined;
    this.#setHealth({
      ...{ state: isOther(error) ? "different" : "away", detail, since: wallClock() },
      ...(remedy !== undefined && { remedy }),
    });
  }

  #setHealth(health: StoreHealth): void {
    const before = this.#health;
    const changed = before.state !== health.state;
    const { since } = changed ? health : before;
    this.#health = { ...health, ...(since !== undefined && { since }) };
    if (!changed && (health.state !== "different" || health.detail === before.detail)) return;
    if (health.state === "ok") log.info("Store {detail} answers", { detail: health.detail });
    else if (health.state === "different") {
      log.error(
        "The store is not the one that this host knows: {detail}. Nothing is written to it, the network stays as it is. {remedy}",
        { detail: health.detail, remedy: health.remedy },
      );
    } else {
      log.warn("Waiting for the store, the network stays as it is: {detail}", {
        detail: health.detail,
      });
    }
    this.#events.onHealth();
  }

  async #join(signal: AbortSignal): Promise<void> {
    const reading = this.#watch.known ? await this.#watch.read("tally") : undefined;
    try {
      this.#config = await this.#options.loadConfig(this.#options.store);
    } catch (error) {
      if (!(error instanceof UnusableConfigError) || this.#config === undefined) throw error;
      const { state } = error.problem;
      if (this.#leftOut.config !== state) log.error("{message}", { message: error.message });
      this.#leftOut.noteConfig(state);
    }
    if (reading?.adopted) await this.#announce(reading.changes, signal);
    await this.#acquire();
    this.#watch.doubt();
  }

  /**
   * The administrator has accepted the store as it is: this host says what it holds, before anybody is given a new subnet. What the
   * store says counts when everybody had the time to do so.
   */
  async #announce(changes: Changes, signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    log.warn("The store was accepted as it is (epoch {epoch}): announcing {subnet}", {
      epoch: changes.mark.epoch,
      subnet: this.#own?.subnet,
    });
    // The words are this epoch's; what is known stays that of the last one until they are said.
    store.expect({ ...changes.mark, revision: 0 });
    const before = this.#own;
    let lost = before === undefined;
    if (before !== undefined) {
      const answer = await store.announceLease(before, this.#config);
      if (answer.state === "held") {
        this.#hold(answer.lease, before.publicIp);
        this.#events.onLease(answer.lease, this.#config!, before);
      } else {
        log.error("{subnet} is not this host's any more: {holder} holds it", {
          subnet: before.subnet,
          holder: answer.to?.nodeName ?? "nobody",
        });
        lost = true;
      }
    }
    this.#watch.accept(changes);
    const end = monotonicClock() + changes.settling;
    while (!signal.aborted && monotonicClock() < end) {
      await this.#wake.sleep(end - monotonicClock(), signal);
    }
    if (lost && !signal.aborted) await this.#acquire();
  }

  async #acquire(): Promise<void> {
    const { store, identity, family, backendOf, publicIp, answersProbes } = this.#options;
    const config = this.#config!;
    const address = publicIp();
    if (address === undefined) {
      throw new StoreAwayError("Cannot lease a subnet: the underlay interface has no address");
    }
    const before = this.#own;
    const request = {
      nodeId: identity.nodeId,
      family,
      nodeName: identity.nodeName,
      publicIp: address,
      backend: config.backend.type,
      bootId: identity.bootId,
      agentId: identity.agentId,
      lastGood: config,
      ...(before && { previousSubnet: before.subnet }),
      backendData: (attempt: number) => ({
        ...backendOf(config).backendData(config.backend, identity.nodeId, attempt),
        ...(answersProbes && { probe: PROBE_VERSION }),
      }),
    };
    let grant = await store.acquireLease({ ...request, asked: false });
    if (grant.how === "asked") {
      log.info("Asking whether another host runs with this node id: its lease is from {address}", {
        address: grant.lease.publicIp,
      });
      await sleep(ANSWER_TIME, this.#signal);
      // Whoever stops meanwhile takes nothing: the question stays, and the next join asks again.
      this.#signal?.throwIfAborted();
      grant = await store.acquireLease({ ...request, asked: true });
    }
    this.#takenOver = undefined;
    this.#watch.met(grant.store);
    this.#hold(grant.lease, address);
    this.#noteRival(grant.rival, address);
    if (before === undefined || before.subnet === grant.lease.subnet) {
      log.info("Holding {subnet} ({how})", { subnet: grant.lease.subnet, how: grant.how });
    } else {
      log.error("Lost {before}, holding {subnet} now: renumbering this host", {
        before: before.subnet,
        subnet: grant.lease.subnet,
      });
    }
    this.#events.onLease(grant.lease, config, before);
  }

  /** @param told The public address that the store was told. */
  #hold(lease: Lease, told: string): void {
    this.#own = lease;
    this.#addresses.clear();
    this.#addresses.add(lease.publicIp);
    // Half of its TTL, with up to a tenth of jitter so that a cluster started at once does not renew at once.
    const ttl = this.#config!.leaseTtl * 1000;
    this.#renewAt = monotonicClock() + ttl * (0.5 - random() * 0.05);
    // It may have changed, and have been told of, while the store was asked.
    if ((this.#options.publicIp() ?? told) !== told) this.#renewAt = 0;
  }

  /**
   * Renews at once where half of the lease's life is over by a clock that is nobody's of the hosts: the monotonic one stands still while
   * a host is suspended.
   *
   * @param now The store's clock.
   */
  #noteStoreTime(now: number): void {
    const own = this.#own;
    const config = this.#config;
    if (own === undefined || config === undefined) return;
    if (this.#options.store.engine === "postgres" && now - own.renewed > config.leaseTtl * 500) {
      this.#renewAt = 0;
    }
  }

  async #renew(): Promise<void> {
    const { store, identity, family, publicIp } = this.#options;
    const own = this.#own!;
    if (this.#takenOver !== undefined) {
      this.#renewAt = Infinity;
      return;
    }
    const address = publicIp() ?? own.publicIp;
    this.#addresses.add(address);
    const renewal = await store.renewLease({
      nodeId: identity.nodeId,
      family,
      agentId: identity.agentId,
      nodeName: identity.nodeName,
      publicIp: address,
      subnet: own.subnet,
      backendData: own.backendData,
      bootId: identity.bootId,
      heldIps: [...this.#addresses],
      lastGood: this.#config!,
    });
    switch (renewal.state) {
      case "renewed":
        this.#hold(renewal.lease, address);
        this.#renewals++;
        this.#noteRival(renewal.rival, address);
        this.#noteUnfit(renewal.unfit, publicIp());
        if (renewal.lease.publicIp !== own.publicIp) {
          this.#events.onLease(renewal.lease, this.#config!, own);
        }
        break;
      case "lost":
        await this.#acquire();
        break;
      case "taken-over":
        this.#noteTakeOver(renewal.by);
        break;
    }
  }

  #noteRival(rival: Lease | undefined, address: string | undefined): void {
    if (rival !== undefined) {
      this.#renewAt = Math.min(this.#renewAt, monotonicClock() + RIVAL_RETRY);
      if (this.#rival === undefined) {
        log.error(
          "{name} ({nodeId}) has the public address {address} already: peers go on using this host's old one. Choose another by --iface or --public-ip; if {name} is gone for good, run knet leave --node {nodeId}",
          { name: rival.nodeName, nodeId: rival.nodeId, address },
        );
      }
    }
    const changed = (rival === undefined) !== (this.#rival === undefined);
    if (changed && this.#own?.publicIp === address) {
      log.info("Peers use {address} now", { address });
    }
    this.#rival = rival;
    if (changed) this.#events.onHealth();
  }

  #noteUnfit(state: string | undefined, address: string | undefined): void {
    if (state !== undefined) this.#renewAt = monotonicClock() + RIVAL_RETRY;
    const unfit = state === undefined ? undefined : `${address}: ${state}`;
    if (unfit === this.#unfit) return;
    this.#unfit = unfit;
    if (unfit !== undefined) {
      log.error(
        "No host can have the public address {unfit}. Choose another by --iface or --public-ip",
        {
          unfit,
        },
      );
    }
  }

  #noteTakeOver(by: Lease): void {
    this.#takenOver = by;
    this.#renewAt = Infinity;
    log.error(
      "Node id {nodeId} was taken over by {name} at {address}: this host stops renewing its lease. Give one of the two another --node-id",
      { nodeId: by.nodeId, name: by.nodeName, address: by.publicIp },
    );
    this.#events.onHealth();
  }

  /** When everything is read again: some of it could not be used, or not be taken. */
  get #rereadAt(): number {
    return Math.min(this.#leftOut.due, this.#events.due);
  }

  async #pull(signal: AbortSignal): Promise<void> {
    const { identity, family } = this.#options;
    const events = this.#events;
    const again = monotonicClock() >= this.#rereadAt;
    let reading = await this.#watch.read(again ? "rows" : undefined);
    while (reading.adopted) {
      if (reading.changes.config) this.#config = reading.changes.config;
      await this.#announce(reading.changes, signal);
      if (signal.aborted) return;
      reading = await this.#watch.read("rows");
    }
    const { changes } = reading;
    this.#watch.take(changes);
    this.#noteStoreTime(changes.now);
    if (again) events.again();
    const { config: wrong } = this.#leftOut;
    this.#leftOut.note(changes);
    if (this.#leftOut.config !== wrong) events.onHealth();
    const isOwn = (one: { nodeId: string; family: Family }) =>
      one.nodeId === identity.nodeId && one.family === family;
    if (changes.config) {
      this.#config = changes.config;
    }
    const peers = changes.leases.filter((lease) => !isOwn(lease) && lease.family === family);
    const isRival = ({ nodeId }: { nodeId: string }) => nodeId === this.#rival?.nodeId;
    // Its address may be free now.
    if (peers.some(isRival) || changes.removed.some(isRival)) this.#renewAt = 0;
    const row = changes.leases.find(isOwn);
    this.#drains.note(changes);
    const { services, removedServices, timeouts } = changes;
    if (changes.full) {
      // All that is known by a snapshot gives way at once: with the peers goes what nobody wishes for.
      events.onServices(changes);
      events.onAllPeers(peers);
    } else {
      const removed = changes.removed.filter((gone) => !isOwn(gone)).map(peerKey);
      if (peers.length + removed.length > 0) events.onSomePeers(peers, removed);
      if (services.length + removedServices.length > 0 || timeouts !== undefined) {
        events.onServices(changes);
      }
    }

    if (this.#takenOver === undefined) {
      if (row !== undefined && row.revision < this.#own!.revision) {
        // What this host wrote last is lost, though the store is the one that it knows: a row of its own former boot is no copy's.
        await this.#acquire();
      } else if (
        row !== undefined && row.agentId !== "" &&
        (row.agentId !== identity.agentId ||
          isClones(row, { bootId: identity.bootId, publicIps: [...this.#addresses] }))
      ) {
        this.#noteTakeOver(row);
      } else if (row !== undefined && isQuestion(row) && row.subnet === this.#own!.subnet) {
        // A copy of this host, or somebody who takes it for one, asks whether it lives.
        await this.#renew();
      } else if (row !== undefined && row.expires < this.#own!.expires) {
        // Renewals raise no revision: those that were lost are told by this alone, and the next may come too late.
        await this.#renew();
      } else if (
        row === undefined
          ? changes.full || changes.removed.some(isOwn)
          : row.subnet !== this.#own!.subnet
      ) {
        await this.#acquire();
      }
    }
  }
}
