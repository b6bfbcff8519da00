/**
 * drizzle over an engine's transaction: one text of queries for all engines.
 *
 * @module
 */
import type { Column } from "drizzle-orm";
import { drizzle, type PgRemoteDatabase } from "drizzle-orm/pg-proxy";
import type { Engine, Query, SqlValue } from "./engine.ts";

/** Where queries are written. */
export type Database = PgRemoteDatabase;

/** What a piece of the store works with. */
export interface Transaction {
  readonly db: Database;
  /** Store's clock, milliseconds since the epoch. */
  readonly now: number;
  /**
   * Rows of a select of columns as they are, which may be very many: drizzle maps value by value, and takes longer than the database.
   *
   * @param columns Those of the select.
   */
  many<T>(columns: Readonly<Record<keyof T, Column>>, select: Select<T>): Promise<T[]>;
  /** Tells others, inside a write, that something changed. */
  announce(): Promise<void>;
}

/** A select of drizzle's that has not run. */
interface Select<T> extends PromiseLike<T[]> {
  toSQL(): { readonly sql: string; readonly params: unknown[] };
}

/**
 * drizzle over a query function. Transactions are the engine's: drizzle's own would run beside other statements of the connection.
 */
export function databaseOver(query: Query): Database {
  return drizzle(async (sql, parameters) => ({
    rows: await query(sql, parameters as SqlValue[]) as SqlValue[][],
  }));
}

/** Runs a transaction that no other writer interleaves with. */
export function writeTo<T>(engine: Engine, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return engine.write((query, now) => work(transaction(engine, query, now)));
}

/** Runs a transaction that sees one state of the database. */
export function readFrom<T>(engine: Engine, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return engine.read((query, now) => work(transaction(engine, query, now)));
}

function transaction(engine: Engine, query: Query, now: number): Transaction {
  return {
    db: databaseOver(query),
    now,
    many: (columns, select) => readMany(query, Object.keys(columns), select),
    announce: () => engine.announce(query),
  };
}

async function readMany<T>(query: Query, names: string[], select: Select<T>): Promise<T[]> {
  const { sql, params } = select.toSQL();
  const rows = await query(sql, params as SqlValue[]);
  return rows.map((values) => {
    const row: Record<string, SqlValue> = {};
    for (let at = 0; at < names.length; at++) row[names[at]!] = values[at]!;
    return row as T;
  });
}
