/**
 * The real store of a simulation, over a SQLite file in memory's file system.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { wallClock } from "../../core/base/clock.ts";
import { storeAdmin } from "../../core/store/admin.ts";
import type { KnownStore } from "../../core/store/adoption.ts";
import type { Engine } from "../../core/store/engine.ts";
import { sqliteEngine } from "../../core/store/sqlite.ts";
import { sqlStore } from "../../core/store/sql_store.ts";
import type { Changes, Store } from "../../core/store/store.ts";
import type { Dice } from "../chaos/dice.ts";
import { SimStore, type SimTable, type Way } from "./sim_store.ts";

/** The real store. */
export class SqliteSimStore extends SimStore {
  readonly #file: string;
  readonly #kept: string;
  readonly #engine: Engine;
  readonly #read = new Map<string, Changes>();
  #version = 0;
  override busy = 0;
  override readonly rounds = 3;

  /** @param folder Where the database lies; in memory's file system, best. */
  constructor(folder: string, dice: Dice) {
    super(dice);
    this.#file = `${folder}/knet.db`;
    this.#kept = `${folder}/kept.db`;
    this.#engine = sqliteEngine(this.#file, 5000, false);
  }

  way(): Way {
    const state = this.newWay();
    const through = async <T>(work: () => Promise<T>): Promise<T> => {
      this.refuse(state);
      this.busy++;
      try {
        return this.answered(state, await work());
      } finally {
        this.busy--;
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
          this.tell();
          return result;
        }),
      subscribe: (onChange, onState) => this.listen(state, onChange, onState),
      close: () => Promise.resolve(),
    };
    const store = sqlStore(engine, () => {});
    // Most reads find what others have read: it is read once.
    const changesSince: Store["changesSince"] = async (since, compare, lastGood) => {
      const key = `${this.#version} ${since} ${compare}`;
      const read = this.#read.get(key);
      if (read !== undefined && !state.cut && !this.away && this.dice.next() >= state.lossy) {
        const now = wallClock();
        return { ...read, now, settling: Math.max(read.settling - (now - read.now), 0) };
      }
      const changes = await store.changesSince(since, compare, lastGood);
      if (changes.problems.length === 0) this.#read.set(key, changes);
      return changes;
    };
    return Object.assign(state, { store: { ...store, changesSince } });
  }

  #changed(): void {
    this.#version++;
    this.#read.clear();
  }

  async adopt(known: KnownStore | undefined): Promise<void> {
    await using admin = storeAdmin(sqliteEngine(this.#file, 5000, false, false, true));
    await admin.adopt(known);
    this.#changed();
    this.tell();
  }

  keep(): void {
    Deno.copyFileSync(this.#file, this.#kept);
    this.copied = true;
  }

  goBack(): void {
    const fresh = `${this.#file}.new`;
    Deno.copyFileSync(this.#kept, fresh);
    Deno.renameSync(fresh, this.#file);
    this.replace();
    this.#changed();
    this.tell();
  }

  empty(table: SimTable): void {
    using database = new DatabaseSync(this.#file);
    database.exec(`delete from ${table}`);
    this.#changed();
    this.tell();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.close();
  }
}
