/**
 * Time that goes on when it is told to, and chance by a seed.
 *
 * @module
 */
import { type Clock, giveClock, type Timer } from "../../core/base/clock.ts";
import type { Dice } from "../chaos/dice.ts";

interface Pending {
  readonly at: number;
  /** Of two at one moment the one that was set first comes first. */
  readonly order: number;
  readonly call: () => void;
}

/** Where simulated time begins, milliseconds since the epoch. */
const BEGIN = 1_700_000_000_000;

/** The clock of a simulation. */
export class SimClock implements Clock, Disposable {
  readonly #dice: Dice;
  readonly #pending = new Set<Pending>();
  readonly #given: Disposable;
  #now = 0;
  #order = 0;
  #ids = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
    this.#given = giveClock(this);
  }

  wall(): number {
    return BEGIN + Math.floor(this.#now);
  }
  monotonic(): number {
    return this.#now;
  }
  after(milliseconds: number, call: () => void): Timer {
    const pending = { at: this.#now + milliseconds, order: this.#order++, call };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }
  random(): number {
    return this.#dice.next();
  }
  uuid(): string {
    return `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, "0")}`;
  }

  /**
   * Lets time go on.
   *
   * @param settled Resolves when nothing goes on any more but what waits for time.
   */
  async advance(milliseconds: number, settled: () => Promise<void>): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (;;) {
      let next: Pending | undefined;
      for (const one of this.#pending) {
        if (
          next === undefined || one.at < next.at || (one.at === next.at && one.order < next.order)
        ) {
          next = one;
        }
      }
      if (next === undefined || next.at > end) break;
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.call();
      await settled();
    }
    this.#now = end;
  }

  [Symbol.dispose](): void {
    this.#given[Symbol.dispose]();
  }
}
