/**
 * drizzle over an engine's transaction: one text of queries for all engines.
 *
 * @module
 */
import { DrizzleQueryError } from "drizzle-orm/errors";
import { drizzle, type PgRemoteDatabase } from "drizzle-orm/pg-proxy";
import type { Engine, Query, ServerHistory, SqlValue } from "./engine.ts";

/** Where queries are written. */
export type Database = PgRemoteDatabase;

/** What a piece of the store works with. */
export interface Transaction {
  readonly db: Database;
  /** Store's clock, milliseconds since the epoch. */
  readonly now: number;
  /** Which history the server that serves goes on with, where there is one. */
  readonly server?: ServerHistory | undefined;
  /** What `db` runs its statements by. Use it through `bulk.ts` only. */
  readonly query: Query;
  /** Tells others, inside a write, that something changed. */
  announce(): Promise<void>;
}

/**
 * drizzle over a query function. Transactions are the engine's: drizzle's own would run beside other statements of the connection.
 */
export function databaseOver(query: Query): Database {
  return drizzle(async (sql, parameters) => ({
    rows: await query(sql, parameters as SqlValue[]) as SqlValue[][],
  }));
}

/** What drizzle's own error about a query is really about: the engine's error, by which it is told whether the store is away. */
export async function unwrapped<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof DrizzleQueryError && error.cause !== undefined ? error.cause : error;
  }
}

/** Runs a transaction that no other writer interleaves with. */
export function writeTo<T>(engine: Engine, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return engine.write((query, now) => unwrapped(work(transaction(engine, query, now))));
}

/** Runs a transaction that sees one state of the database. */
export function readFrom<T>(engine: Engine, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return engine.read((query, now) => unwrapped(work(transaction(engine, query, now))));
}

function transaction(engine: Engine, query: Query, now: number): Transaction {
  const db = databaseOver(query);
  return { db, query, now, server: engine.history?.(), announce: () => engine.announce(query) };
}
