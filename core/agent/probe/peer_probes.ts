/**
 * Tries the paths to all peers slowly, all the time: a few packets a minute a peer, and no more than some twenty peers a second however
 * many there are. A peer that does not answer is asked again soon, and on all ways there are, so that what is wrong can be told within
 * half a minute.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { isExpired, isUntaken } from "../../cluster/allocate.ts";
import type { Lease } from "../../cluster/lease.ts";
import { familyOf, numberToAddress } from "../../base/address.ts";
import { monotonicClock, random } from "../../base/clock.ts";
import { Heap } from "../../health/due_queue.ts";
import { MISSES, type ProbeStatus } from "../../inspect/probe/findings.ts";
import type { PathsReport, SeenDown } from "../../inspect/probe/look.ts";
import type { Via } from "../../overlay/backend/backend.ts";
import { peerKey } from "../../overlay/overlay.ts";
import { PeerTrial } from "./peer_trial.ts";
import { type Asked, numberOf, type Place, type Way } from "./ways.ts";
import { BulkServer } from "./bulk.ts";
import { tryPeer } from "./try_peer.ts";
import { ProbeWire } from "./wire.ts";

const log = getLogger(["knet", "probe"]);

/** Milliseconds between two questions to a peer. */
const INTERVAL = 10_000;
/** Milliseconds after which one that was not answered is asked again. */
const AGAIN = 2000;
/** Milliseconds that a peer has until it is asked first: it may not be programmed yet, there or here. */
const GRACE = 4000;
/** Peers that are asked in a second, whatever is due. */
const MOST = 20;

/** Whether a peer that did not answer so many questions is asked again soon, as long as it is not told what is wrong. */
const waits = (misses: number) => misses > 0 && misses < 4 * MISSES;

/** What this host is at the moment, beside {@linkcode Place}. */
export interface ProbePlace extends Place {
  /** UDP port of the tunnel; undefined where there is none. */
  readonly port: number | undefined;
  /** The public address that peers are told. */
  readonly announced: string;
}

/** What is asked of whoever programs the paths. */
export interface ProbeHooks {
  /** This host's name. */
  readonly node: string;
  /** By what packets to a peer travel; undefined: it is not there. */
  viaOf(lease: Lease): Via | undefined;
  /** The store's clock, which leases go by, milliseconds since the epoch. */
  storeNow(): number;
  /** Whether an address is a peer's public one. */
  isPublic(address: string): boolean;
  /** Real servers that fail this host's checks. */
  down?(): readonly SeenDown[];
}

/** Tries the paths to all peers, until it is disposed of. */
export class PeerProbes implements AsyncDisposable {
  readonly #hooks: ProbeHooks;
  readonly #trials = new Map<string, PeerTrial>();
  /** By the first address of their subnet. */
  readonly #bySubnet = new Map<number, PeerTrial>();
  /** Addresses of the peers' hosts in the overlay. */
  readonly #hosts = new Map<number, PeerTrial>();
  readonly #queue = new Heap<{ readonly due: number; readonly trial: PeerTrial }>();
  readonly #wire: ProbeWire;
  readonly #bulk: BulkServer;
  #place: ProbePlace | undefined;
  #said = new Map<string, string>();

  constructor(hooks: ProbeHooks) {
    this.#hooks = hooks;
    this.#bulk = new BulkServer({
      knows: (address) =>
        familyOf(address) === 4 &&
        (this.knows("through", numberOf(address)) || hooks.isPublic(address)),
      report: () => JSON.stringify(this.paths),
    });
    this.#wire = new ProbeWire({
      knows: (way, from) => this.knows(way, from),
      heard: (way, subnet) => this.#bySubnet.get(subnet)?.heardOn(way) ?? false,
      onQuestion: (asked) => this.#onQuestion(asked),
      onStranger: (asked) => this.#onStranger(asked),
    });
  }

  /** The sockets. */
  get wire(): ProbeWire {
    return this.#wire;
  }

  /** Where this host is. */
  get place(): ProbePlace | undefined {
    return this.#place;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bulk[Symbol.asyncDispose]();
    await this.#wire[Symbol.asyncDispose]();
  }

  /** Says what this host is; IPv4 alone is tried. */
  configure(place: ProbePlace): void {
    if (familyOf(place.gateway) !== 4 || familyOf(place.address) !== 4) return;
    const before = this.#place;
    this.#place = place;
    if (before?.mtu !== place.mtu) {
      for (const trial of this.#trials.values()) trial.fullMisses = trial.largest = 0;
    }
    this.#wire.configure(place);
    this.#bulk.configure(place.gateway);
  }

  /** Replaces all peers. */
  setPeers(leases: readonly Lease[]): void {
    const keys = new Set(leases.map(peerKey));
    this.changePeers(leases, [...this.#trials.keys()].filter((key) => !keys.has(key)));
  }

  /**
   * Applies changes of some peers.
   *
   * @param removed Keys of `peerKey`.
   */
  changePeers(changed: readonly Lease[], removed: readonly string[]): void {
    for (const key of removed) this.#drop(key);
    const now = monotonicClock();
    for (const lease of changed) {
      const key = peerKey(lease);
      if (lease.family !== 4 || familyOf(lease.publicIp) !== 4 || isUntaken(lease)) {
        this.#drop(key);
        continue;
      }
      if (this.#trials.get(key)?.follow(lease)) continue;
      this.#drop(key);
      const trial = new PeerTrial(key, lease);
      this.#trials.set(key, trial);
      this.#bySubnet.set(trial.subnet, trial);
      this.#hosts.set(trial.gateway, trial).set(trial.subnet, trial);
      this.#plan(trial, now + GRACE + random() * AGAIN);
    }
  }

  #drop(key: string): void {
    const trial = this.#trials.get(key);
    if (trial === undefined) return;
    this.#trials.delete(key);
    this.#said.delete(key);
    for (
      const [map, at] of [
        [this.#bySubnet, trial.subnet],
        [this.#hosts, trial.subnet],
        [this.#hosts, trial.gateway],
      ] as const
    ) if (map.get(at) === trial) map.delete(at);
  }

  #plan(trial: PeerTrial, due: number): void {
    trial.due = due;
    this.#queue.push({ due, trial });
  }

  /** Whether a host of a peer may ask from this address. */
  knows(way: Way, from: number): boolean {
    return way === "through"
      ? this.#hosts.has(from)
      : this.#hooks.isPublic(numberToAddress(BigInt(from), 4));
  }

  /** What this host tells whoever may ask. */
  get paths(): PathsReport {
    const paths = this.trials.map(({ lease, status }) => ({ peer: lease.nodeName, ...status }));
    const { node, down } = this.#hooks;
    return { node, paths, ...(down && { down: down() }) };
  }

  /** All trials. */
  get trials(): PeerTrial[] {
    return [...this.#trials.values()];
  }

  /** The trial of a peer by its node id, name, subnet, or one of its addresses. */
  find(word: string): PeerTrial | undefined {
    for (const trial of this.#trials.values()) {
      const { lease } = trial;
      if ([lease.nodeId, lease.nodeName, lease.subnet, lease.publicIp].includes(word)) return trial;
    }
    return undefined;
  }

  /** Asks whom it is time to ask. Returns at once. */
  tick(): void {
    const now = monotonicClock();
    const place = this.#place;
    if (place === undefined) return;
    const interval = Math.max(INTERVAL, this.#trials.size / MOST * 1000);
    for (let asked = 0; asked < MOST;) {
      const first = this.#queue.first;
      if (first === undefined || first.due > now) return;
      this.#queue.pop();
      const { trial } = first;
      // Of one that went, or that was planned anew.
      if (this.#trials.get(trial.key) !== trial || trial.due !== first.due) continue;
      asked++;
      trial.due = Infinity;
      const via = this.#hooks.viaOf(trial.lease) ?? "none";
      if (via === "none") {
        this.#judge(trial, via, place);
        this.#plan(trial, now + interval);
      } else void this.#try(trial, via, place, interval);
    }
  }

  async #try(trial: PeerTrial, via: Via, place: ProbePlace, interval: number): Promise<void> {
    await tryPeer(this.#wire, trial, place);
    if (this.#trials.get(trial.key) !== trial) return;
    this.#judge(trial, via, place);
    const { misses } = trial.ways.through;
    const soon = trial.finding === undefined &&
      (waits(misses) || (misses === 0 && waits(trial.fullMisses)));
    const jitter = 1 + (random() - 0.5) / 10;
    this.#plan(trial, monotonicClock() + (soon ? AGAIN : interval * jitter));
  }

  #judge(trial: PeerTrial, via: Via, { port, mtu }: ProbePlace): void {
    const expired = isExpired(trial.lease, this.#hooks.storeNow());
    const tunnel = via === "direct" ? undefined : port;
    const finding = trial.judge(monotonicClock(), { via, port: tunnel, mtu, expired });
    const before = this.#said.get(trial.key);
    if (finding?.fault === before) return;
    if (finding !== undefined) {
      this.#said.set(trial.key, finding.fault);
      log.warn("{sentence}", { sentence: finding.sentence });
    } else {
      this.#said.delete(trial.key);
      const { nodeName: name, subnet } = trial.lease;
      log.info("The path to host {name} ({subnet}) carries packets again", { name, subnet });
    }
  }

  #onQuestion({ way, subnet, heard, from }: Asked): void {
    const trial = this.#bySubnet.get(subnet);
    // It speaks for its own host alone.
    if (trial === undefined) return;
    const own = way === "through" ? this.#hosts.get(from) === trial : trial.publicIp === from;
    if (!own) return;
    const now = monotonicClock();
    trial.ways[way].heard = now;
    trial.ways[way].confirmed = heard ? now : -Infinity;
  }

  #onStranger({ way, subnet, from }: Asked): void {
    if (way !== "beside") return;
    this.#bySubnet.get(subnet)?.noteStranger(numberToAddress(BigInt(from), 4), monotonicClock());
  }

  /** What the administrator should know. */
  get warnings(): string[] {
    const findings = [...this.#trials.values()].flatMap(({ finding }) => finding ?? []);
    return [...this.#wire.problems, ...findings.map(({ sentence }) => sentence)];
  }

  /** For status and metrics: the path to a peer. */
  statusOf(lease: Pick<Lease, "nodeId" | "family">): ProbeStatus | undefined {
    return this.#trials.get(peerKey(lease))?.status;
  }
}
