/**
 * When destinations whose drain is over are to be swept out of the store.
 *
 * @module
 */
import { monotonicClock, random } from "../base/clock.ts";
import type { Changes } from "../store/store.ts";

/** Milliseconds over which the agents of a cluster spread: the first one sweeps, and the others learn of it. */
const SPREAD = 10_000;
/** Milliseconds from one sweep to the next. */
const BREATH = 30_000;

/** Follows the deadlines of all drains. */
export class DrainClock {
  /** When a service's next drain is over, by its name; monotonic clock. */
  readonly #over = new Map<string, number>();
  readonly #delay = random() * SPREAD;
  #notBefore = -Infinity;

  /** Takes what changed in the store. */
  note(changes: Changes): void {
    if (changes.full) this.#over.clear();
    for (const name of changes.removedServices) this.#over.delete(name);
    for (const { name, destinations } of changes.services) {
      let deadline = Infinity;
      for (const { draining } of destinations) {
        deadline = Math.min(deadline, draining?.deadline ?? Infinity);
      }
      if (deadline === Infinity) this.#over.delete(name);
      else this.#over.set(name, monotonicClock() + deadline - changes.now);
    }
  }

  /** When to sweep, on the monotonic clock; `Infinity` if there is nothing to sweep. */
  get due(): number {
    let due = Infinity;
    for (const over of this.#over.values()) due = Math.min(due, over);
    return Math.max(due + this.#delay, this.#notBefore);
  }

  /** Notes a sweep. The store's clock may have been set back since a deadline was noted: the next one waits a while. */
  swept(): void {
    this.#notBefore = monotonicClock() + BREATH;
  }
}
