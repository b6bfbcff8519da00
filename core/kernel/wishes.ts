/**
 * What should be in the kernel: entries of all kinds, each on somebody's behalf.
 *
 * Two wishes for one key are both kept. The older claim's is fulfilled, and the other when that one goes: a row that claims what is
 * another's already takes nothing away, neither when it comes nor when it goes.
 *
 * @module
 */
import type { Claim, Kind, Wish } from "./kind.ts";

/** The keys of entries that something happened to, by kind. */
export class Touched {
  readonly #keys = new Map<Kind, Set<string>>();

  /** Notes a key. */
  add(kind: Kind, key: string): void {
    let keys = this.#keys.get(kind);
    if (keys === undefined) this.#keys.set(kind, keys = new Set());
    keys.add(key);
  }

  /** The keys of one kind. */
  of(kind: Kind): ReadonlySet<string> {
    return this.#keys.get(kind) ?? NONE;
  }
}

const NONE: ReadonlySet<string> = new Set();
const NO_WISHES: ReadonlyMap<string, Wish> = new Map();

/** A wish that has to wait, and the one that it waits for. */
export interface Contest {
  readonly kind: Kind;
  readonly key: string;
  readonly winner: Claim;
  readonly waiting: Claim;
}

/** Wishes by kind and key. */
export class Wishes {
  readonly #fulfilled = new Map<Kind, Map<string, Wish>>();
  /** Those that wait, the oldest claim first. Nearly always empty. */
  readonly #waiting = new Map<Kind, Map<string, Wish[]>>();
  readonly #without: ReadonlySet<Kind>;

  /** @param without Kinds that are passed over: the kernel has none, or shall have none. */
  constructor(without: Iterable<Kind> = []) {
    this.#without = new Set(without);
  }

  /** Those to be fulfilled, by key. */
  of(kind: Kind): ReadonlyMap<string, Wish> {
    return this.#fulfilled.get(kind) ?? NO_WISHES;
  }

  /** What two want and one can have. */
  get contests(): Contest[] {
    return [...this.#waiting].flatMap(([kind, keys]) =>
      [...keys].flatMap(([key, waiting]) =>
        waiting.map(({ claim }) => ({
          kind,
          key,
          winner: this.of(kind).get(key)!.claim,
          waiting: claim,
        }))
      )
    );
  }

  /** Adds wishes, and notes their keys. */
  add(wishes: readonly Wish[], touched?: Touched): void {
    for (const wish of wishes) {
      const { kind, value } = wish;
      const key = kind.key(value);
      if (key === undefined || this.#without.has(kind)) continue;
      touched?.add(kind, key);
      let held = this.#fulfilled.get(kind);
      if (held === undefined) this.#fulfilled.set(kind, held = new Map());
      const other = held.get(key);
      if (other === undefined || other === wish) held.set(key, wish);
      else if (isOlder(wish.claim, other.claim)) {
        held.set(key, wish);
        this.#wait(key, other);
      } else this.#wait(key, wish);
    }
  }

  /** Takes wishes back, and notes their keys. Only those that were added count, not their equals. */
  remove(wishes: readonly Wish[], touched?: Touched): void {
    for (const wish of wishes) {
      const { kind, value } = wish;
      const key = kind.key(value);
      if (key === undefined) continue;
      const held = this.#fulfilled.get(kind);
      const waiting = this.#waiting.get(kind)?.get(key);
      if (held?.get(key) === wish) {
        touched?.add(kind, key);
        const next = waiting?.shift();
        if (next === undefined) held.delete(key);
        else held.set(key, next);
      } else {
        const at = waiting?.indexOf(wish) ?? -1;
        if (at >= 0) waiting!.splice(at, 1);
      }
      if (waiting?.length === 0) this.#waiting.get(kind)!.delete(key);
    }
  }

  #wait(key: string, wish: Wish): void {
    let keys = this.#waiting.get(wish.kind);
    if (keys === undefined) this.#waiting.set(wish.kind, keys = new Map());
    const waiting = keys.get(key) ?? [];
    const at = waiting.findIndex((other) => isOlder(wish.claim, other.claim));
    waiting.splice(at < 0 ? waiting.length : at, 0, wish);
    keys.set(key, waiting);
  }
}

function isOlder(a: Claim, b: Claim): boolean {
  return a.since < b.since || (a.since === b.since && a.owner < b.owner);
}
