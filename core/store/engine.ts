/**
 * What an engine has to be able to do; all that a store means stands on top of it in `sql_store.ts`.
 *
 * @module
 */

/** A value that goes into or comes out of a row. */
export type SqlValue = string | number | null;
/** One row: its values in the order of the columns that were asked for. Whole numbers are numbers. */
export type Row = readonly SqlValue[];

/** Runs a statement; parameters are written `$1`, `$2`, each once and in this order. */
export type Query = (sql: string, parameters?: readonly SqlValue[]) => Promise<Row[]>;

/** Which history of writes a server goes on with. Only Postgres has several. */
export interface ServerHistory {
  /** Of the cluster that initdb made. */
  readonly system: string;
  /** Raised by each promotion. */
  readonly timeline: number;
}

/** How a subscriber hears of changes. */
export type SubscriptionState = "notify" | "poll" | "away";

/** A database. Calls reject with StoreAwayError if it cannot be reached within its deadline. */
export interface Engine {
  readonly engine: "sqlite" | "postgres" | "dqlite";
  /** URL without its password. */
  readonly location: string;
  /** True where the time of a transaction is this host's own, not the server's. */
  readonly hostClock: boolean;
  /** Runs statements of one transaction that no other writer interleaves with. */
  write<T>(run: (query: Query, now: number) => Promise<T>): Promise<T>;
  /** Runs statements that see one state of the database. */
  read<T>(run: (query: Query, now: number) => Promise<T>): Promise<T>;
  /** Tells others, inside a write, that something changed. */
  announce(query: Query): Promise<void>;
  subscribe(
    onChange: () => void,
    onState: (state: SubscriptionState, detail: string) => void,
  ): Disposable;
  /** Which history the server goes on with that the last call was served by; absent where there is no server. */
  history?(): ServerHistory | undefined;
  /** What of the database itself is damaged; absent where the server looks after that. */
  integrity?(): Promise<string[]>;
  reset(): void;
  close(): Promise<void>;
}
