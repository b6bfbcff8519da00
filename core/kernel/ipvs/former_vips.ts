/**
 * Which virtual IPs this host had until lately.
 *
 * @module
 */
import { monotonicClock } from "../../base/clock.ts";
import { FORMER_MINUTES } from "../firewall/firewall.ts";

/** More would make every reconcile slow; the oldest are forgotten. */
const MOST = 1000;

/** Virtual IPs that are no more, for as long as there may be connections to them. */
export class FormerVips {
  /** When each is forgotten, the first first. */
  readonly #until = new Map<string, number>();

  /** Notes some as gone now. */
  note(gone: Iterable<string>): void {
    for (const vip of gone) {
      this.#until.delete(vip);
      this.#until.set(vip, monotonicClock() + FORMER_MINUTES * 60_000);
    }
  }

  /** Forgets those that are virtual IPs again, those whose time is over, and the oldest of too many; the others. */
  without(vips: Pick<ReadonlySet<string>, "has">): string[] {
    const now = monotonicClock();
    for (const [vip, until] of this.#until) {
      if (vips.has(vip) || until <= now || this.#until.size > MOST) this.#until.delete(vip);
    }
    return [...this.#until.keys()];
  }

  /** Whether the time of some is over. */
  areOver(): boolean {
    for (const until of this.#until.values()) return until <= monotonicClock();
    return false;
  }

  /** Forgets all. */
  clear(): void {
    this.#until.clear();
  }
}
