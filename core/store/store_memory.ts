/**
 * What an agent knows of its store, and whether what it reads there can be of the same store. Pure.
 *
 * A counter alone proves nothing: after a restore it goes back, and with a few changes it comes to be where it was.
 *
 * @module
 */
import { type StoreMark, whyOther } from "./identity.ts";
import { CONFIG_KEY, leaseKey, serviceKey, tallyOf, TIMEOUTS_KEY } from "./row_marks.ts";
import type { Changes } from "./store.ts";

/** What is kept of a store over restarts. */
export interface RememberedStore extends StoreMark {
  /** Revisions of all rows by what they are; negative where the row makes no sense. */
  readonly rows: Readonly<Record<string, number>>;
}

/** What a reading is worth. */
export type Verdict =
  /** It may be of the store that is known. */
  | { readonly state: "same" }
  /** Everything has to be read to tell. */
  | { readonly state: "look" }
  /** The administrator has accepted the store as it is. */
  | { readonly state: "adopted" }
  /** It is not of the store that is known. */
  | { readonly state: "different"; readonly what: string };

/** So many rows are named in one sentence. */
const NAMED = 3;

function named(keys: readonly string[]): string {
  const more = keys.length - NAMED;
  return keys.slice(0, NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** The store as it was seen last. */
export class StoreMemory {
  readonly #rows = new Map<string, number>();
  #mark: StoreMark = { identity: 0, epoch: 0, revision: 0 };
  /** Whether there is anything to hold a reading against. */
  #known = false;
  /** Whether the store had a configuration. */
  #configured = false;
  /** A tally that does not fit, though everything that was read does: rows that somebody made by hand. */
  #excused = "";

  /**
   * @param remembered What a snapshot keeps.
   * @param configured Whether a cluster is known in any case: an older knet's snapshot keeps nothing of the store.
   */
  constructor(remembered?: RememberedStore, configured = remembered !== undefined) {
    this.#configured = configured;
    if (remembered === undefined) return;
    const { rows, ...mark } = remembered;
    this.#mark = mark;
    this.#known = true;
    for (const [key, revision] of Object.entries(rows)) this.#rows.set(key, revision);
  }

  /** Which store it is, and how much of it is known. */
  get mark(): StoreMark {
    return this.#mark;
  }

  /** How many rows are known. */
  get size(): number {
    return this.#rows.size;
  }

  /** Whether there is anything to hold a reading against. */
  get known(): boolean {
    return this.#known || this.#configured;
  }

  /** What a snapshot keeps. */
  get remembered(): RememberedStore | undefined {
    return this.#known ? { ...this.#mark, rows: Object.fromEntries(this.#rows) } : undefined;
  }

  /** A store was met of which nothing is known, and nothing was read: it wrote something for this host. */
  meet({ identity, epoch }: Pick<StoreMark, "identity" | "epoch">): void {
    this.#mark = { identity, epoch, revision: 0 };
    this.#known = true;
  }

  /** Judges what was read above the revision of {@linkcode mark}. */
  judge(changes: Changes): Verdict {
    const { mark } = changes;
    if (this.#known) {
      const what = whyOther(this.#mark, mark);
      if (what !== undefined) return { state: "different", what };
      // An identity that an older knet's store got is no news.
      if (mark.epoch > this.#mark.epoch && this.#mark.identity !== 0) return { state: "adopted" };
    }
    if (this.#configured && changes.config === null) {
      return { state: "different", what: "the cluster configuration is gone" };
    }
    if (!this.#known) return { state: "same" };
    if (changes.whole) {
      const what = this.#whyOtherRows(changes);
      return what === undefined ? { state: "same" } : { state: "different", what };
    }
    if (changes.full) return { state: "look" };
    if (changes.tally === undefined || changes.tally === this.#excused) return { state: "same" };
    const after = new Map(this.#rows);
    merge(after, changes);
    return { state: tallyOfRows(after) === changes.tally ? "same" : "look" };
  }

  /** Rows that make no sense are somebody's work by hand, and so is what becomes of them: they prove nothing. */
  #whyOtherRows(changes: Changes): string | undefined {
    const { marks, mark, purged } = changes;
    const seen = this.#mark.revision;
    const usable = usableKeys(changes);
    const found = new Set<string>();
    const [early, back]: [string[], string[]] = [[], []];
    for (const { key, revision } of marks) {
      found.add(key);
      const before = this.#rows.get(key);
      if (!usable.has(key)) continue;
      if (before === undefined) {
        if (revision <= seen) early.push(key);
      } else if (revision < before) back.push(key);
    }
    const until = `up to revision ${seen} of ${mark.revision}`;
    // Tombstones that were purged meanwhile tell of nothing any more.
    const gone = purged > seen
      ? []
      : [...this.#rows].filter(([key, revision]) => revision >= 0 && !found.has(key))
        .map(([key]) => key);
    if (gone.length > 0) return `rows are gone that nobody deleted: ${named(gone)} (${until})`;
    if (back.length > 0) return `rows went back: ${named(back)} (${until})`;
    if (early.length > 0) return `rows are there that were not: ${named(early)} (${until})`;
    return undefined;
  }

  /** Takes what was judged to be of this store. */
  take(changes: Changes): void {
    if (changes.full) this.#rows.clear();
    merge(this.#rows, changes);
    this.#mark = changes.mark;
    this.#known = true;
    this.#configured = this.#rows.has(CONFIG_KEY);
    if (changes.tally === undefined) return;
    this.#excused = tallyOfRows(this.#rows) === changes.tally ? "" : changes.tally;
  }
}

function merge(rows: Map<string, number>, changes: Changes): void {
  const usable = usableKeys(changes);
  for (const { key, revision, gone } of changes.marks) {
    if (gone) rows.delete(key);
    else rows.set(key, usable.has(key) ? revision : -revision);
  }
}

function tallyOfRows(rows: ReadonlyMap<string, number>): string {
  return tallyOf([...rows.values()].map(Math.abs));
}

/** What makes sense of what was read. */
function usableKeys({ leases, services }: Changes): Set<string> {
  const keys = new Set([CONFIG_KEY, TIMEOUTS_KEY]);
  for (const { nodeId, family } of leases) keys.add(leaseKey(nodeId, family));
  for (const { name } of services) keys.add(serviceKey(name));
  return keys;
}
