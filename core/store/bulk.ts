/**
 * Thousands of rows at a time. drizzle writes the statements here as everywhere; it does not see the rows, as it looks at them value
 * by value, which takes longer than the database.
 *
 * @module
 */
import { type Column, getTableColumns, type SQL, type Table } from "drizzle-orm";
import type { SqlValue } from "./engine.ts";
import type { Transaction } from "./transaction.ts";

/** Values in one statement: Postgres takes 65535, SQLite 32766. */
const MOST_VALUES = 2000;

/** A statement of drizzle's that has not run. */
interface Statement {
  toSQL(): { readonly sql: string; readonly params: unknown[] };
}

function* parts<T>(list: readonly T[], width: number): Generator<T[]> {
  const most = Math.floor(MOST_VALUES / width);
  for (let at = 0; at < list.length; at += most) yield list.slice(at, at + most);
}

/** Runs a query for each part of a list, and puts the rows together. */
export async function inParts<T, R>(
  list: readonly T[],
  query: (part: T[]) => PromiseLike<readonly R[]>,
): Promise<R[]> {
  const rows: R[] = [];
  for (const part of parts(list, 1)) {
    for (const row of await query(part)) rows.push(row);
  }
  return rows;
}

/**
 * Rows of a select of columns as they are.
 *
 * @param columns Those of the select.
 */
export async function readMany<T>(
  { query }: Transaction,
  columns: Readonly<Record<keyof T, Column | SQL>>,
  select: Statement & PromiseLike<T[]>,
): Promise<T[]> {
  const names = Object.keys(columns);
  const { sql, params } = select.toSQL();
  return (await query(sql, params as SqlValue[])).map((values) => {
    const row: Record<string, SqlValue> = {};
    for (let at = 0; at < names.length; at++) row[names[at]!] = values[at]!;
    return row as T;
  });
}

/**
 * Inserts rows, whole.
 *
 * @param insert The statement for a part of them; it has no values but theirs.
 */
export async function insertMany<T extends Table>(
  { query }: Pick<Transaction, "query">,
  table: T,
  rows: readonly Required<T["$inferInsert"]>[],
  insert: (part: Required<T["$inferInsert"]>[]) => Statement,
): Promise<void> {
  const names = Object.keys(getTableColumns(table));
  let text = "";
  let size = 0;
  for (const part of parts(rows, names.length)) {
    if (part.length !== size) {
      text = insert(part).toSQL().sql;
      size = part.length;
    }
    const values: SqlValue[] = [];
    for (const row of part) {
      for (const name of names) values.push((row as Record<string, SqlValue>)[name]!);
    }
    await query(text, values);
  }
}
