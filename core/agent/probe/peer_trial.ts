/**
 * What is remembered of the path to one peer. Pure but for the clock, which is given.
 *
 * @module
 */
import type { Lease } from "../../cluster/lease.ts";
import { nthAddress } from "../../base/address.ts";
import type { Via } from "../../overlay/backend/backend.ts";
import {
  findingOf,
  LATELY,
  MISSES,
  type PathFinding,
  type ProbeStatus,
  type WayFacts,
} from "../../inspect/probe/findings.ts";
import { PROBE_VERSION } from "../../inspect/probe/message.ts";
import { numberOf, type Reply, type Way } from "./ways.ts";

/** Of how many questions the share of lost ones is told. */
const WINDOW = 20;
/** How much a new round-trip counts in the smoothed one (RFC 6298). */
const WEIGHT = 1 / 8;

/** One way to a peer. Times are on the monotonic clock. */
class WayMemory {
  misses = 0;
  silentSince: number | undefined;
  answered = -Infinity;
  heard = -Infinity;
  confirmed = -Infinity;
  echo: boolean | undefined;
  changedSource: string | undefined;
  /** Milliseconds, smoothed; undefined before the first answer. */
  rtt: number | undefined;
  /** The last questions, the newest last: true is answered. */
  readonly results: boolean[] = [];

  note(reply: Reply | undefined, asked: number, now: number): void {
    this.results.push(reply !== undefined);
    if (this.results.length > WINDOW) this.results.shift();
    if (reply === undefined) {
      this.misses++;
      this.silentSince ??= asked;
      return;
    }
    this.misses = 0;
    this.silentSince = undefined;
    this.echo = undefined;
    this.answered = now;
    this.rtt = this.rtt === undefined ? reply.rtt : this.rtt + (reply.rtt - this.rtt) * WEIGHT;
  }

  get loss(): number {
    const { length } = this.results;
    return length === 0 ? 0 : this.results.filter((answered) => !answered).length / length;
  }

  facts(now: number): WayFacts {
    const { misses, echo, changedSource } = this;
    return {
      misses,
      silent: this.silentSince === undefined ? 0 : now - this.silentSince,
      answered: now - this.answered,
      heard: now - this.heard,
      confirmed: now - this.confirmed,
      echo,
      changedSource,
    };
  }
}

/** The path to one peer. */
export class PeerTrial {
  readonly key: string;
  /** When it is asked next, on the monotonic clock. */
  due = 0;
  round = 0;
  readonly ways: Readonly<Record<Way, WayMemory>> = {
    through: new WayMemory(),
    beside: new WayMemory(),
  };
  /** Questions as long as the overlay's MTU in a row that were not answered. */
  fullMisses = 0;
  /** Bytes of the longest packet that was answered of late, 0 before the first. */
  largest = 0;
  finding: PathFinding | undefined;
  #lease: Lease;
  #gateway: number;
  #subnet: number;
  #publicIp: number;
  #stranger: { readonly address: string; readonly at: number } | undefined;

  constructor(key: string, lease: Lease) {
    this.key = key;
    this.#lease = lease;
    this.#gateway = numberOf(nthAddress(lease.subnet, 1));
    this.#subnet = numberOf(nthAddress(lease.subnet, 0));
    this.#publicIp = numberOf(lease.publicIp);
  }

  get lease(): Lease {
    return this.#lease;
  }
  /** The address of its bridge, a number. */
  get gateway(): number {
    return this.#gateway;
  }
  /** The first address of its subnet, a number. */
  get subnet(): number {
    return this.#subnet;
  }
  /** A number. */
  get publicIp(): number {
    return this.#publicIp;
  }
  /** Whether its lease says that its agent answers. */
  get answers(): boolean {
    return (this.#lease.backendData.probe ?? 0) >= PROBE_VERSION;
  }
  /** Where it is asked on a way. */
  addressOn(way: Way): number {
    return way === "through" ? this.#gateway : this.#publicIp;
  }

  /** Takes a lease that is the same host's at the same places. */
  follow(lease: Lease): boolean {
    if (lease.subnet !== this.#lease.subnet || lease.publicIp !== this.#lease.publicIp) {
      return false;
    }
    this.#lease = lease;
    return true;
  }

  /** Somebody asked in its name from an address that is no peer's. */
  noteStranger(address: string, now: number): void {
    this.#stranger = { address, at: now };
  }

  /** Whether it answered the last question on a way. */
  heardOn(way: Way): boolean {
    const { misses, answered } = this.ways[way];
    return misses === 0 && answered > -Infinity;
  }

  /** Whether something is not as it should be, so that it is looked at closer. */
  get doubtful(): boolean {
    return this.ways.through.misses > 0 || this.fullMisses > 0;
  }

  /** What is wrong now. */
  judge(now: number, place: { via: Via; port: number | undefined; mtu: number; expired: boolean }) {
    const { lease } = this;
    const stranger = this.#stranger;
    return this.finding = findingOf({
      ...{ name: lease.nodeName, subnet: lease.subnet, publicIp: lease.publicIp },
      ...{ via: place.via, port: place.port, expired: place.expired },
      answers: this.answers,
      through: this.ways.through.facts(now),
      beside: this.ways.beside.facts(now),
      full: { misses: this.fullMisses, mtu: place.mtu, largest: this.largest },
      stranger: stranger !== undefined && now - stranger.at < 2 * LATELY
        ? stranger.address
        : undefined,
    });
  }

  /** For status and metrics. */
  get status(): ProbeStatus {
    const { rtt, loss, results, misses } = this.ways.through;
    return {
      ...(rtt !== undefined && misses < MISSES && { rtt }),
      ...(results.length > 0 && { loss }),
      ...(this.largest > 0 && { mtu: this.largest }),
      ...(this.finding !== undefined && { fault: this.finding.fault }),
    };
  }
}
