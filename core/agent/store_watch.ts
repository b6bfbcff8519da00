/**
 * Reads the store, and believes it only as long as it is the one that this host knows.
 *
 * @module
 */
import { monotonicClock, wallClock } from "../base/clock.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { DifferentStoreError } from "../store/identity.ts";
import { type RememberedStore, StoreMemory } from "../store/store_memory.ts";
import type { Changes, Comparison, LeaseGrant, Store } from "../store/store.ts";

/** Milliseconds from one count of the rows to the next: by it a store is noticed that was emptied without a word. */
const COUNT_EVERY = 3000;
/** The same where whoever changes it tells, in whatever way, so that there is nothing new without a word. */
const COUNT_SELDOM = 30_000;
/** Milliseconds more for each row: five thousand hosts are not to count five thousand rows every three seconds. */
const COUNT_SHARE = 30;
/** Milliseconds from one comparison of all rows to the next, and more for each row. */
const COMPARE_EVERY = 300_000;
const COMPARE_SHARE = 200;
/** The least of it, whatever the life of a lease. */
const COMPARE_AT_MOST = 10_000;

/** What was read. */
export interface Reading {
  readonly changes: Changes;
  /** Whether the administrator has accepted the store in place of the one that is known: this host has to announce what it holds. */
  readonly adopted: boolean;
}

/** One store, followed. */
export class StoreWatch {
  readonly #store: Store;
  readonly #lastGood: () => ClusterConfig | undefined;
  #memory: StoreMemory;
  /** What the store's clock is ahead of the monotonic one; undefined before it was read. */
  #ahead: number | undefined;
  #countAt = 0;
  /** Rows are not counted again before. */
  #countedUntil = 0;
  /** Whether the store has told of something since rows were counted last. */
  #heard = false;
  #compareAt = 0;
  /** Half of what a lease lives, milliseconds. */
  #life = Infinity;

  /** Whether the administrator has named another place than the one that is known. */
  #elsewhere: boolean;

  /**
   * @param remembered What a snapshot keeps of the store.
   * @param member Whether this host knows a cluster, if nothing of its store.
   * @param elsewhere Whether the administrator has named another place than the one that it knows.
   * @param lastGood The configuration that is gone on with if that of the store makes no sense.
   */
  constructor(
    store: Store,
    remembered: RememberedStore | undefined,
    { member, lastGood, elsewhere = false }: {
      readonly member: boolean;
      readonly lastGood: () => ClusterConfig | undefined;
      readonly elsewhere?: boolean | undefined;
    },
  ) {
    this.#elsewhere = elsewhere;
    this.#store = store;
    this.#lastGood = lastGood;
    this.#memory = new StoreMemory(remembered, member);
    if (remembered !== undefined) store.expect(this.#memory.mark);
  }

  /** Whether there is anything to hold the store against. */
  get known(): boolean {
    return this.#memory.known;
  }
  /** The last revision that is known. */
  get revision(): number {
    return this.#memory.mark.revision;
  }
  /**
   * The store's clock, milliseconds since the epoch: leases go by it. It goes on by the monotonic one between two readings, so that
   * whoever sets this host's clock changes nothing of it; before the first reading it is this host's.
   */
  get now(): number {
    return this.#ahead === undefined ? wallClock() : monotonicClock() + this.#ahead;
  }
  /** What a snapshot keeps. */
  get remembered(): RememberedStore | undefined {
    return this.#memory.remembered;
  }
  /** Milliseconds until the store has to be looked at whatever it tells. */
  get due(): number {
    return Math.min(this.#countAt, this.#compareAt) - monotonicClock();
  }

  /** The store has given this host a lease: whatever happens before it is read, it is known which one that was. */
  met(store: LeaseGrant["store"]): void {
    if (store === undefined || this.remembered !== undefined) return;
    this.#memory.meet(store);
    this.#store.expect(this.#memory.mark);
  }

  /** Compares all rows with the next reading: the store was away, and may have become another one. */
  doubt(): void {
    this.#compareAt = 0;
  }

  /** The store has told of something: rows are counted soon, and not in a while. */
  heard(): void {
    this.#heard = true;
    this.#countAt = Math.min(this.#countAt, this.#countedUntil);
  }

  /**
   * Reads what changed; nothing of it counts before {@linkcode take}.
   *
   * @param compare How closely to look; the default is what is due.
   * @throws {DifferentStoreError} StoreAwayError
   */
  async read(compare: Comparison = this.#dueComparison()): Promise<Reading> {
    if (compare !== "revision") this.#heard = false;
    let changes = await this.#store.changesSince(this.revision, compare, this.#lastGood());
    let verdict = this.#memory.judge(changes);
    if (verdict.state === "look") {
      changes = await this.#store.changesSince(this.revision, "rows", this.#lastGood());
      verdict = this.#memory.judge(changes);
    }
    if (verdict.state === "different" && this.#isOtherCluster(changes)) {
      this.#memory = new StoreMemory();
      this.#store.expect(undefined);
      return await this.read();
    }
    if (verdict.state === "different") {
      throw new DifferentStoreError(this.#store.location, verdict.what);
    }
    return { changes, adopted: verdict.state === "adopted" };
  }

  /** The administrator's word leads to another cluster, not merely to a place where this one's store is not yet. */
  #isOtherCluster({ mark, config }: Changes): boolean {
    if (!this.#elsewhere) return false;
    const { identity } = this.#memory.mark;
    return mark.identity !== 0 && mark.identity !== identity && config !== null;
  }

  #dueComparison(): Comparison {
    const now = monotonicClock();
    if (!this.known) return "revision";
    return now >= this.#compareAt ? "rows" : now >= this.#countAt ? "tally" : "revision";
  }

  /** Takes what was read for what the store holds. */
  take(changes: Changes): void {
    this.#elsewhere = false;
    this.#ahead = changes.now - monotonicClock();
    this.#memory.take(changes);
    this.#store.expect(this.#memory.mark);
    if (changes.config) this.#life = changes.config.leaseTtl * 500;
    const now = monotonicClock();
    const { size } = this.#memory;
    if (changes.tally !== undefined || changes.full) {
      this.#countedUntil = now + COUNT_EVERY + size * COUNT_SHARE;
      // Postgres tells of what knet does alone.
      const seldom = this.#store.engine === "postgres" || this.#heard ? 0 : COUNT_SELDOM;
      this.#countAt = Math.max(this.#countedUntil, now + seldom);
    }
    if (changes.full) {
      // Before a lease is over, its renewal, which raises no revision, has to be seen.
      const pause = Math.min(COMPARE_EVERY + size * COMPARE_SHARE, this.#life);
      this.#compareAt = now + Math.max(pause, COMPARE_AT_MOST);
    }
  }

  /** Forgets all of the store but which one it is: the administrator has accepted it, and this host has said what it holds. */
  accept({ mark }: Changes): void {
    this.#memory = new StoreMemory({ ...mark, revision: 0, rows: {} }, false);
    this.#store.expect(this.#memory.mark);
    this.doubt();
  }
}
