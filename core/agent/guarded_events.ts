/**
 * What membership hands over, so that a failure to take it ends nothing: it is a problem in status, and is handed over again.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { monotonicClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import type { MembershipEvents, ServiceChanges } from "./membership_options.ts";

const log = getLogger(["knet", "membership"]);

/** Milliseconds after which what could not be taken is handed over again. */
const AGAIN = 2000;

/** The receiver's methods, none of which throws. */
export class GuardedEvents implements Required<MembershipEvents> {
  readonly #inner: MembershipEvents;
  readonly #failures = new Map<keyof MembershipEvents, string>();
  #lease: Parameters<MembershipEvents["onLease"]> | undefined;
  #due = Infinity;

  constructor(inner: MembershipEvents) {
    this.#inner = inner;
  }

  /** What could not be taken, in sentences. */
  get problems(): string[] {
    return [...this.#failures.values()];
  }

  /** When all is to be handed over again, on the monotonic clock. */
  get due(): number {
    return this.#due;
  }

  onLease(lease: Lease, config: ClusterConfig, before: Lease | undefined): void {
    this.#lease = this.#attempt("onLease", () => this.#inner.onLease(lease, config, before))
      ? undefined
      : [lease, config, before];
  }

  onAllPeers(peers: readonly Lease[]): void {
    const took = this.#attempt("onAllPeers", () => this.#inner.onAllPeers(peers));
    // All of them are those that changed, too.
    if (took) this.#failures.delete("onSomePeers");
  }

  onSomePeers(changed: readonly Lease[], removed: readonly string[]): void {
    if (this.#failures.has("onSomePeers")) return; // Comes with all others.
    this.#attempt("onSomePeers", () => this.#inner.onSomePeers(changed, removed));
  }

  onServices(changes: ServiceChanges): void {
    if (!changes.full && this.#failures.has("onServices")) return; // Comes with all others.
    this.#attempt("onServices", () => this.#inner.onServices?.(changes));
  }

  onHealth(): void {
    this.#attempt("onHealth", () => this.#inner.onHealth());
  }

  /** Hands over again what is not in the store's changes; the caller reads those anew. */
  again(): void {
    this.#due = Infinity;
    if (this.#lease !== undefined) this.onLease(...this.#lease);
    if (this.#failures.has("onHealth")) this.onHealth();
  }

  /** @returns whether it was taken. */
  #attempt(what: keyof MembershipEvents, act: () => void): boolean {
    try {
      act();
      this.#failures.delete(what);
      return true;
    } catch (error) {
      const message = messageOf(error);
      if (this.#failures.get(what) !== message) log.error("{message}", { message });
      this.#failures.set(what, message);
      this.#due = Math.min(this.#due, monotonicClock() + AGAIN);
      return false;
    }
  }
}
