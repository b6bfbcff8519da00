/**
 * Takes leases away whose hosts do not come back by themselves.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { monotonicClock } from "../base/clock.ts";
import type { Store } from "../store/store.ts";

const log = getLogger(["knet", "membership"]);

const DAY = 86_400_000; // milliseconds
const PRUNE_AFTER = 7 * DAY;

/** Prunes leases that were not renewed for seven days in which the store was there without a break. */
export class Pruner {
  /** Since when the store has been there without a break, on the monotonic clock. */
  #unbrokenSince: number | undefined;
  #at = Infinity;

  /** Notes that the store answers. */
  answered(): void {
    this.#unbrokenSince ??= monotonicClock();
    if (this.#at === Infinity) this.#at = monotonicClock() + PRUNE_AFTER;
  }

  /** Notes that it does not: nobody could renew. */
  broke(): void {
    this.#unbrokenSince = undefined;
    this.#at = Infinity;
  }

  /** Whether it is time to look. */
  get due(): boolean {
    return monotonicClock() >= this.#at;
  }

  /**
   * Looks, and prunes.
   *
   * @throws {StoreAwayError}
   */
  async prune(store: Pick<Store, "listLeases" | "pruneLeases">): Promise<void> {
    this.#at = monotonicClock() + DAY;
    const since = this.#unbrokenSince;
    if (since === undefined || monotonicClock() - since < PRUNE_AFTER) return;
    const { leases, now } = await store.listLeases();
    const silent = leases.filter((lease) =>
      !lease.reserved && lease.expires < now && lease.renewed < now - PRUNE_AFTER
    ).map((lease) => lease.nodeId);
    if (silent.length === 0) return;
    for (const lease of await store.pruneLeases(silent)) {
      log.warn("Pruned the lease of {name} ({subnet}): not renewed for seven days", {
        name: lease.nodeName,
        subnet: lease.subnet,
      });
    }
  }
}
