/**
 * The store of a simulation, reached by each host over a way of its own that may break, also between a commit and its answer: a model
 * of it, or the real one over a real SQLite file.
 *
 * @module
 */
import { after } from "../../core/base/clock.ts";
import { StoreAwayError } from "../../core/base/error.ts";
import type { KnownStore } from "../../core/store/adoption.ts";
import type { Engine } from "../../core/store/engine.ts";
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

/** What a simulation keeps of a way. */
export interface SimWay extends Omit<Way, "store"> {
  /** Which copy was found in the store's place last. */
  replaced: number;
  /** Told of how changes are heard of. */
  onState?: Parameters<Engine["subscribe"]>[1];
}

/** Tables that somebody empties. */
export type SimTable = "knet_leases" | "knet_meta";

/** Whom of it a simulation asks. */
export abstract class SimStore implements AsyncDisposable {
  readonly dice: Dice;
  readonly #listeners = new Set<() => void>();
  /** How often a copy was put in its place. */
  #replaced = 0;
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

  /** Puts the copy in its place: what came since is lost. Whoever watches a file sees that, others are not told. */
  abstract goBack(): void;

  /** Empties a table. Whoever watches a file sees that, others are not told. */
  abstract empty(table: SimTable): void;

  abstract [Symbol.asyncDispose](): Promise<void>;

  /**
   * The beginning of a call. Whoever finds a copy in the store's place opens it anew, and says so, as engines do.
   *
   * @throws {StoreAwayError} if nothing passes on a way.
   */
  protected refuse(way: SimWay): void {
    if (way.cut || this.away) throw new StoreAwayError("Cannot use the store: it is away");
    if (way.replaced === this.#replaced) return;
    way.replaced = this.#replaced;
    way.onState?.("away", "another file");
    way.onState?.("notify", "told");
  }

  /** A way on which nothing has happened yet. */
  protected newWay(): SimWay {
    return { cut: false, lossy: 0, replaced: this.#replaced };
  }

  /** A copy is in its place now. */
  protected replace(): void {
    this.#replaced++;
  }

  /** What came of a call, if its answer arrives. */
  protected answered<T>(way: Pick<Way, "lossy">, result: T): T {
    if (this.dice.next() < way.lossy) throw new StoreAwayError("The answer was lost");
    return result;
  }

  /** Hears of writes as far as a way lets it. */
  protected listen(
    way: SimWay,
    onChange: () => void,
    onState: NonNullable<SimWay["onState"]>,
  ): Disposable {
    way.onState = onState;
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
    const state = this.newWay();
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
      subscribe: (onChange, onState) => this.listen(state, onChange, onState),
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
    this.replace();
  }

  empty(table: SimTable): void {
    this.#database.meddle(({ leases, counters }) =>
      table === "knet_leases" ? leases.clear() : counters.clear()
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
