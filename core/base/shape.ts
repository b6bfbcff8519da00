/**
 * Checking what comes from outside, files and sockets, for its shape (valibot). Fields that nobody asks for pass: a newer knet may have
 * written them.
 *
 * @module
 */
import * as v from "valibot";

/** A text of which only some are known; a newer knet may know more. */
export function word<T extends string>(): v.GenericSchema<unknown, T> {
  return v.custom<T>((value) => typeof value === "string", "it is no text");
}

/**
 * What is wrong with a value, in words that go on from "Cannot use FILE:".
 *
 * @param issue The first of valibot's issues.
 */
export function faultOf(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  const own = issue.message.startsWith("Invalid ") ? undefined : issue.message;
  if (path === null) return own ?? `it is ${issue.received}, not ${issue.expected}`;
  if (own !== undefined) return `${path}: ${own}`;
  if (issue.received === "undefined") return `it has no ${path}`;
  return `${path} is ${issue.received}, not ${issue.expected}`;
}

/**
 * Passes a value of the right shape through.
 *
 * @throws {TypeError} saying what is wrong with it.
 */
export function checkShape<T>(schema: v.GenericSchema<unknown, T>, value: unknown): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (!result.success) throw new TypeError(faultOf(result.issues[0]));
  return result.output;
}

/**
 * Reads JSON of a shape.
 *
 * @throws {SyntaxError} if the text is no JSON.
 * @throws {TypeError} if it is of another shape, saying what is wrong with it.
 */
export function parseShape<T>(schema: v.GenericSchema<unknown, T>, text: string): T {
  return checkShape(schema, JSON.parse(text));
}
