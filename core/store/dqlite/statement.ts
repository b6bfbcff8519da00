/**
 * Statements as dqlite takes them. Pure.
 *
 * @module
 */
import type { SqlValue } from "../engine.ts";
import { MOST_PARAMETERS } from "./wire.ts";

/** A statement that is sent. */
export interface Statement {
  /** Whether it is one of those with rows, which dqlite has another request for. */
  readonly hasRows: boolean;
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}

const ROWS = /^\s*(?:select|with|values|pragma|explain)\b|\sreturning\s/i;

/** What may stand in a statement: a text, a name, a parameter. */
const PARTS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\d+)/g;

/** A value as it is written in a statement. */
export function literal(value: SqlValue): string {
  if (value === null) return "null";
  if (typeof value === "string") {
    if (value.includes("\0")) {
      throw new TypeError("Cannot write text in SQL: it holds a NUL character");
    }
    return `'${value.replaceAll("'", "''")}'`;
  }
  if (!Number.isFinite(value)) throw new TypeError(`Cannot write ${value} in SQL`);
  return String(value);
}

/**
 * Makes a statement. Parameters are bound by position, which is the order in which `$1`, `$2` and so on stand; where they are more than
 * dqlite takes, their values are written into the text.
 */
export function makeStatement(sql: string, parameters: readonly SqlValue[]): Statement {
  const hasRows = ROWS.test(sql);
  if (parameters.length <= MOST_PARAMETERS) return { hasRows, sql, parameters };
  const text = sql.replace(
    PARTS,
    (part, number) => number === undefined ? part : literal(parameters[Number(number) - 1]!),
  );
  return { hasRows, sql: text, parameters: [] };
}
