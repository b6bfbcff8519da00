/**
 * What the store holds and the agent cannot use: what status says of it, and when everything is read again because of it. A row that
 * is put right need not raise the store's revision: whoever edits by hand does not know of that.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";
import type { Changes } from "../store/store.ts";
import { describeProblem, type RowProblem } from "../store/row_check.ts";

/** Milliseconds between two looks at everything while rows are left out. */
const AGAIN = 60_000;
/** The same while the configuration is, and after something has changed: that may have been the row. */
const SOON = 10_000;
/** So many rows are named. */
const MOST_NAMED = 20;

/** What of a reading says what is left out. */
export type Noted = Pick<
  Changes,
  | "full"
  | "problems"
  | "config"
  | "configProblem"
  | "leases"
  | "removed"
  | "services"
  | "removedServices"
>;

/** Rows that are left out. */
export class LeftOut {
  #rows: readonly RowProblem[] = [];
  #config: string | undefined;
  #again = Infinity;

  /** When everything is to be read again, on the monotonic clock. */
  get due(): number {
    return this.#again;
  }

  /** What is wrong with the configuration; undefined if nothing is. */
  get config(): string | undefined {
    return this.#config;
  }

  /** Takes what was read of the store. */
  note(changes: Noted): void {
    const { full, problems, configProblem } = changes;
    if (configProblem !== undefined) this.#config = configProblem;
    else if (full || changes.config) this.#config = undefined;
    const rows = configProblem === undefined
      ? problems
      : problems.filter(({ state }) => state !== configProblem);
    if (full) this.#rows = rows;
    // Those that were put right meanwhile are forgotten with the next look at everything.
    else if (rows.length > 0) this.#rows = together(this.#rows, rows);
    if (this.#config === undefined && this.#rows.length === 0) this.#again = Infinity;
    else if (full || this.#again === Infinity) {
      this.#again = monotonicClock() + (this.#config === undefined ? AGAIN : SOON);
    } else if (isNews(changes)) this.#again = Math.min(this.#again, monotonicClock() + SOON);
  }

  /** The configuration could not be used at the first join. */
  noteConfig(state: string): void {
    this.#config = state;
    this.#again = monotonicClock() + SOON;
  }

  /** Sentences for status. */
  get warnings(): string[] {
    const config = this.#config === undefined ? [] : [
      `Cannot use the cluster configuration in the store: ${this.#config}; this host goes on with the one that it had`,
    ];
    const more = this.#rows.length - MOST_NAMED;
    return [
      ...config,
      ...this.#rows.slice(0, MOST_NAMED).map(describeProblem),
      ...more > 0 ? [`Cannot use ${more} more rows in the store, they are left out, too`] : [],
    ];
  }
}

function isNews({ leases, removed, services, removedServices }: Noted): boolean {
  return leases.length + removed.length + services.length + removedServices.length > 0;
}

/** Both, each sentence once; no more than can be named and counted. */
function together(a: readonly RowProblem[], b: readonly RowProblem[]): RowProblem[] {
  const all = new Map([...a, ...b].map((one) => [describeProblem(one), one]));
  return [...all.values()].slice(0, 10_000);
}
