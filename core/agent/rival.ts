/**
 * The host that has this one's new public address by its lease, and whether it was asked if it lives.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";
import type { Lease } from "../cluster/lease.ts";
import type { LeaseHolder } from "../store/store.ts";

/** Milliseconds that it has to answer, and after which it is asked again. */
const PATIENCE = 15_000;

/** Turns between asking, and counting what was answered, for as long as somebody is in the way. */
export class Rival {
  #lease: Lease | undefined;
  #asked = false;
  #due = 0;

  /** The host; undefined if there is none. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** When the store is to be asked for the address again, by the monotonic clock; Infinity if nobody is in the way. */
  get due(): number {
    return this.#lease === undefined ? Infinity : this.#due;
  }

  /** What a renewal is to do about hosts in the way: see {@linkcode LeaseHolder}. */
  get turn(): Pick<LeaseHolder, "asked"> {
    if (this.#lease !== undefined && monotonicClock() < this.#due) return {};
    return { asked: this.#asked };
  }

  /** A lease was granted, and nobody asked. */
  granted(rival: Lease | undefined): void {
    this.#lease = rival;
    this.#asked = false;
    this.#due = 0;
  }

  /** @param turn What the renewal was to do. */
  renewed(rival: Lease | undefined, { asked }: Pick<LeaseHolder, "asked">): void {
    this.#lease = rival;
    if (asked === undefined) return;
    this.#asked = rival !== undefined && !asked;
    this.#due = monotonicClock() + PATIENCE;
  }
}
