/**
 * Rows are checked where they come in: somebody may have edited them by hand, or a newer knet may have written them. One that does
 * not fit is left out and told of; the rest goes on.
 *
 * @module
 */
import { type Column, type SQL, sql } from "drizzle-orm";
import * as v from "valibot";
import { canonicalAddress, parsePrefix } from "../base/address.ts";
import { withoutTrace } from "../base/error.ts";
import { faultOf } from "../base/shape.ts";
import type { RowProblem } from "../services/service_store.ts";

export type { RowProblem };

/** The sentence for the administrator. */
export function describeProblem({ what, state }: RowProblem): string {
  return `Cannot use the ${what} in the store, it is left out: ${state}`;
}

/** A row's value, or why it has none. */
export type Checked<T> =
  | { readonly value: T; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: RowProblem };

function reads(text: string, parse: (text: string) => unknown): boolean {
  try {
    withoutTrace(() => parse(text));
    return true;
  } catch {
    return false;
  }
}

/** Characters of a name, a word or an address that are read: more than any rule allows, so that what is cut off does not pass. */
const MOST_TEXT = 256;

/** A column of text, cut off: somebody may have written more than memory holds. */
export function bounded(column: Column, most = MOST_TEXT): SQL<string> {
  return sql<string>`substr(${column}, 1, ${sql.raw(String(most + 1))})`;
}

/** Nearly all addresses; to read each properly takes longer than all else that is done with a row. */
const PLAIN = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Whether it is an address, written as knet writes it: two ways to write one would count as two. */
export function isAddress(value: unknown): value is string {
  return typeof value === "string" &&
    (PLAIN.test(value) || reads(value, (text) => {
      if (canonicalAddress(text) !== text) throw new SyntaxError();
    }));
}

/** Whether it is a whole number, not negative. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Whether it is a port. */
export function isPort(value: unknown): value is number {
  return isCount(value) && value > 0 && value < 65536;
}

/** Text that is an address. */
export const addressText = v.custom<string>(isAddress, "it is no address as knet writes it");

/** Text that is a network. */
export const prefixText = v.custom<string>(
  (text) => typeof text === "string" && reads(text, parsePrefix),
  "it is no network",
);

/** A whole number, not negative. */
export const count = v.custom<number>(isCount, "it is no whole number");

/** A port. */
export const portNumber = v.custom<number>(isPort, "it is no port");

/** A shape whose value stays just as it is: with what it does not name, and with its keys in their order. */
export function asWritten<Schema extends v.GenericSchema>(schema: Schema) {
  return v.pipe(
    v.custom<v.InferOutput<Schema>>(() => true),
    v.rawCheck(({ dataset, addIssue }) => {
      const [issue] = v.safeParse(schema, dataset.value, { abortEarly: true }).issues ?? [];
      if (issue !== undefined) addIssue({ message: faultOf(issue) });
    }),
  );
}

/** JSON text of a shape. */
export function jsonOf<Schema extends v.GenericSchema>(schema: Schema) {
  return v.pipe(v.string(), v.parseJson(), schema);
}

const FIRST_ONLY = { abortEarly: true, abortPipeEarly: true };

/**
 * Judges a row.
 *
 * @param what Says what the row holds, if it has to be said.
 */
export function checkRow<Schema extends v.GenericSchema, Row>(
  schema: Schema,
  row: Row,
  what: (row: Row) => string,
): Checked<v.InferOutput<Schema>> {
  const result = v.safeParse(schema, row, FIRST_ONLY);
  if (result.success) return { value: result.output };
  return { problem: { what: what(row), state: faultOf(result.issues[0]) } };
}

/** So many are told of one reading: whoever wrote thousands needs no more, and each takes its time. */
const MOST_PROBLEMS = 1000;

/** Adds a problem, unless there are many already. */
export function addProblem(problems: RowProblem[], make: () => RowProblem): void {
  if (problems.length < MOST_PROBLEMS) problems.push(make());
  else if (problems.length === MOST_PROBLEMS) {
    problems.push({ what: "rest", state: `more than ${MOST_PROBLEMS} rows make no sense` });
  }
}

/** Values of the rows that fit; problems of the others are added to `problems`. */
export function usable<R, T>(
  rows: readonly R[],
  check: (row: R) => Checked<T>,
  problems: RowProblem[],
): T[] {
  const values: T[] = [];
  for (const row of rows) {
    const checked = check(row);
    if (checked.problem === undefined) values.push(checked.value);
    else addProblem(problems, () => checked.problem);
  }
  return values;
}

/** Takes what is above a limit from rows that were read with a limit one above it, and says so. */
export function withinLimit<Row>(
  rows: Row[],
  most: number,
  what: string,
  problems: RowProblem[],
): Row[] {
  if (rows.length <= most) return rows;
  rows.length = most;
  problems.push({ what, state: `there are more than ${most}` });
  return rows;
}
