/**
 * The database of a simulation: the real store over the real SQLite, in memory's file system, reached by each host over a way of its
 * own that may break, also between a commit and its answer.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { after, wallClock } from "../../core/base/clock.ts";
import { StoreAwayError } from "../../core/base/error.ts";
import type { Engine } from "../../core/store/engine.ts";
import { type StoreAdmin, storeAdmin } from "../../core/store/admin.ts";
import { sqliteEngine } from "../../core/store/sqlite.ts";
import { sqlStore } from "../../core/store/sql_store.ts";
import type { Changes, Store } from "../../core/store/store.ts";
import type { Dice } from "../chaos/dice.ts";

/** One host's way to the database. */
export interface Way {
  readonly store: Store;
  /** Whether nothing passes. */
  cut: boolean;
  /** How often, from 0 to 1, an answer is lost though all was done. */
  lossy: number;
}

/** The database. */
export class SimStore implements AsyncDisposable {
  readonly #file: string;
  readonly #kept: string;
  readonly #dice: Dice;
  readonly #engine: Engine;
  readonly #listeners = new Set<() => void>();
  readonly #read = new Map<string, Changes>();
  #version = 0;
  #busy = 0;
  /** Whether nobody reaches it. */
  away = false;
  /** Whether there is a copy to go back to. */
  copied = false;

  constructor(folder: string, dice: Dice) {
    this.#file = `${folder}/knet.db`;
    this.#kept = `${folder}/kept.db`;
    this.#dice = dice;
    this.#engine = sqliteEngine(this.#file, 5000, false);
  }

  /** How many calls are under way. */
  get busy(): number {
    return this.#busy;
  }

  /** A way for one host. */
  way(): Way {
    const state = { cut: false, lossy: 0 };
    const through = async <T>(work: () => Promise<T>): Promise<T> => {
      if (state.cut || this.away) throw new StoreAwayError("Cannot use the store: it is away");
      this.#busy++;
      try {
        const result = await work();
        if (this.#dice.next() < state.lossy) throw new StoreAwayError("The answer was lost");
        return result;
      } finally {
        this.#busy--;
      }
    };
    const engine: Engine = {
      ...this.#engine,
      // One clock for all, as a server's is.
      hostClock: false,
      read: (work) => through(() => this.#engine.read(work)),
      write: (work) =>
        through(async () => {
          const result = await this.#engine.write(work);
          this.#changed();
          this.#tell();
          return result;
        }),
      subscribe: (onChange) => {
        const listener = () => {
          if (!state.cut && !this.away) onChange();
        };
        this.#listeners.add(listener);
        return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
      },
      close: () => Promise.resolve(),
    };
    const store = sqlStore(engine, () => {});
    // Most reads find what others have read: it is read once.
    const changesSince: Store["changesSince"] = async (since, compare, lastGood) => {
      const key = `${this.#version} ${since} ${compare}`;
      const read = this.#read.get(key);
      if (read !== undefined && !state.cut && !this.away && this.#dice.next() >= state.lossy) {
        const now = wallClock();
        return { ...read, now, settling: Math.max(read.settling - (now - read.now), 0) };
      }
      const changes = await store.changesSince(since, compare, lastGood);
      if (changes.problems.length === 0) this.#read.set(key, changes);
      return changes;
    };
    return Object.assign(state, { store: { ...store, changesSince } });
  }

  /** Somebody's word is heard a moment later, each by itself. */
  #tell(): void {
    for (const listener of this.#listeners) {
      after(this.#dice.whole(0, 50), () => this.#listeners.has(listener) && listener());
    }
  }

  #changed(): void {
    this.#version++;
    this.#read.clear();
  }

  /** The administrator's hands, whatever is away: a command of its own. */
  admin(): StoreAdmin {
    const engine = sqliteEngine(this.#file, 5000, false, false, true);
    return storeAdmin({
      ...engine,
      write: async (work) => {
        const result = await engine.write(work);
        this.#changed();
        this.#tell();
        return result;
      },
    });
  }

  /** Keeps a copy of the file. */
  keep(): void {
    Deno.copyFileSync(this.#file, this.#kept);
    this.copied = true;
  }

  /** Puts the copy in the place of the file: what came since is lost, and nobody is told. */
  goBack(): void {
    const fresh = `${this.#file}.new`;
    Deno.copyFileSync(this.#kept, fresh);
    Deno.renameSync(fresh, this.#file);
    this.#changed();
  }

  /** Empties a table, and nobody is told. */
  empty(table: string): void {
    using database = new DatabaseSync(this.#file);
    database.exec(`delete from ${table}`);
    this.#changed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.close();
  }
}
