/**
 * Rows are checked where they come in: somebody may have edited them by hand, or a newer knet may have written them. One that does
 * not fit is left out and told of; the rest goes on.
 *
 * @module
 */
import * as v from "valibot";
import { canonicalAddress, parsePrefix } from "../base/address.ts";
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

function reads(parse: (text: string) => unknown) {
  return (text: string): boolean => {
    try {
      parse(text);
      return true;
    } catch {
      return false;
    }
  };
}

/** Text that is an address. */
export const addressText = v.pipe(
  v.string(),
  v.check(reads(canonicalAddress), "it is no address"),
);

/** Text that is a network. */
export const prefixText = v.pipe(v.string(), v.check(reads(parsePrefix), "it is no network"));

/** A whole number, not negative. */
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** A port. */
export const portNumber = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));

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

/** Judges a row. */
export function checkRow<Schema extends v.GenericSchema>(
  schema: Schema,
  row: unknown,
  what: string,
): Checked<v.InferOutput<Schema>> {
  const result = v.safeParse(schema, row, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return { value: result.output };
  return { problem: { what, state: faultOf(result.issues[0]) } };
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
    else problems.push(checked.problem);
  }
  return values;
}
