/**
 * Where hosts said lately that they are, on this segment. Whoever is on it can say so: a hint is worth one more try to connect, and who
 * answers there has to prove which node it is. It is forgotten soon, and never written down.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";

/** Milliseconds for which a hint is good. */
export const HINT_LIFE = 60_000;
/** Hosts of which there are hints. */
export const MOST_HINTED = 256;
/** Addresses of one host. */
export const MOST_OF_ONE = 3;
/** Hosts that one address is said to be. */
export const MOST_AT_ONE = 4;

/** Where a host may be. */
export interface Hint {
  readonly address: string;
  /** TCP. */
  readonly port: number;
}

interface Noted extends Hint {
  readonly until: number;
}

/** Hints by node id. */
export class Hints {
  /** The host that was heard last is the last one, and so of each the address. */
  readonly #noted = new Map<string, readonly Noted[]>();

  /** How many hosts there are hints of. */
  get size(): number {
    return this.#noted.size;
  }

  /** Takes a hint; `false` if it is one too many of its address. */
  note(nodeId: string, { address, port }: Hint): boolean {
    const now = monotonicClock();
    const others = this.#alive(nodeId, now).filter((hint) => hint.address !== address);
    if (this.#hostsAt(address, nodeId, now) >= MOST_AT_ONE) return false;
    this.#noted.delete(nodeId);
    const until = now + HINT_LIFE;
    this.#noted.set(nodeId, [...others, { address, port, until }].slice(-MOST_OF_ONE));
    if (this.#noted.size > MOST_HINTED) this.#noted.delete(this.#noted.keys().next().value!);
    return true;
  }

  /** Where a host may be, the newest first. */
  of(nodeId: string): readonly Hint[] {
    return this.#alive(nodeId, monotonicClock()).toReversed()
      .map(({ address, port }) => ({ address, port }));
  }

  #alive(nodeId: string, now: number): readonly Noted[] {
    return (this.#noted.get(nodeId) ?? []).filter(({ until }) => until > now);
  }

  #hostsAt(address: string, but: string, now: number): number {
    return [...this.#noted.keys()].filter((nodeId) =>
      nodeId !== but && this.#alive(nodeId, now).some((hint) => hint.address === address)
    ).length;
  }
}
