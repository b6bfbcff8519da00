/**
 * The store of a simulation, reached by each host over a way of its own that may break, also between a commit and its answer: a model
 * of it, or the real one over a real SQLite file.
 *
 * @module
 */
import { after } from "../../core/base/clock.ts";
import { StoreAwayError } from "../../core/base/error.ts";
import type { KnownStore } from "../../core/store/adoption.ts";
import type { Store } from "../../core/store/store.ts";
import type { Dice } from "../chaos/dice.ts";
import { ModelDatabase, modelStore } from "../support/model_store/model_store.ts";
import type { ModelTables } from "../support/model_store/tables.ts";

/** One host's way to the database. */
export interface Way {
  readonly store: Store;
  /** Whether nothing passes. */
  cut: boolean;
  /** How often, from 0 to 1, an answer is lost though all was done. */
  lossy: number;
}

/** Tables that somebody empties. */
export type SimTable = "knet_leases" | "knet_meta";

/** Whom of it a simulation asks. */
export abstract class SimStore implements AsyncDisposable {
  readonly dice: Dice;
  readonly #listeners = new Set<() => void>();
  /** Whether nobody reaches it. */
  away = false;
  /** Whether there is a copy to go back to. */
  copied = false;

  constructor(dice: Dice) {
    this.dice = dice;
  }

  /** How many calls are under way that take real time. */
  readonly busy: number = 0;
  /** After how many turns of the event loop without such a call all that needs no time is done. */
  readonly rounds: number = 1;

  /** A way for one host. */
  abstract way(): Way;

  /** The administrator accepts it, whatever is away: a command of its own. */
  abstract adopt(known: KnownStore | undefined): Promise<void>;

  /** Keeps a copy. */
  abstract keep(): void;

  /** Puts the copy in its place: what came since is lost, and nobody is told. */
  abstract goBack(): void;

  /** Empties a table, and nobody is told. */
  abstract empty(table: SimTable): void;

  abstract [Symbol.asyncDispose](): Promise<void>;

  /** @throws {StoreAwayError} if nothing passes on a way. */
  protected refuse(way: Pick<Way, "cut">): void {
    if (way.cut || this.away) throw new StoreAwayError("Cannot use the store: it is away");
  }

  /** What came of a call, if its answer arrives. */
  protected answered<T>(way: Pick<Way, "lossy">, result: T): T {
    if (this.dice.next() < way.lossy) throw new StoreAwayError("The answer was lost");
    return result;
  }

  /** Hears of writes as far as a way lets it. */
  protected listen(way: Pick<Way, "cut">, onChange: () => void): Disposable {
    const listener = () => {
      if (!way.cut && !this.away) onChange();
    };
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Somebody's word is heard a moment later, each by itself. */
  protected tell(): void {
    for (const listener of this.#listeners) {
      after(this.dice.whole(0, 50), () => this.#listeners.has(listener) && listener());
    }
  }
}

/** The model: no call takes real time. */
export class ModelSimStore extends SimStore {
  readonly #database = new ModelDatabase();
  #kept: ModelTables | undefined;

  way(): Way {
    const state = { cut: false, lossy: 0 };
    const store = modelStore({
      read: async (work) => {
        this.refuse(state);
        return await this.answered(state, this.#database.read(work));
      },
      write: async (work) => {
        this.refuse(state);
        const result = this.#database.write(work);
        this.tell();
        return await this.answered(state, result);
      },
      subscribe: (onChange) => this.listen(state, onChange),
    });
    return Object.assign(state, { store });
  }

  // deno-lint-ignore require-await
  async adopt(known: KnownStore | undefined): Promise<void> {
    this.#database.adopt(known);
    this.tell();
  }

  keep(): void {
    this.#kept = this.#database.tables;
    this.copied = true;
  }

  goBack(): void {
    this.#database.replace(this.#kept!);
  }

  empty(table: SimTable): void {
    this.#database.meddle(({ leases, counters }) =>
      table === "knet_leases" ? leases.clear() : counters.clear()
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
