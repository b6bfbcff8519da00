/**
 * Reads the value of an option or a word, wherever it comes from: the command line, the environment, the configuration file.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import type { OptionTable } from "./option_table.ts";

/**
 * Parses one option's value wherever it comes from; `source` names that place in the message.
 *
 * @throws {UsageError} if the value is not allowed.
 */
export async function parseOption(
  table: OptionTable,
  name: string,
  text: string | boolean,
  source: string,
  context: string,
): Promise<unknown> {
  const option = Object.hasOwn(table, name) ? table[name] : undefined;
  if (option === undefined || option.kind === "flag") {
    return typeof text === "boolean" ? text : parseBoolean(text, source, context);
  }
  return await readWord(source, String(text), option.parse, context);
}

/**
 * Reads a word by a check of values; `name` is what messages call it.
 *
 * @throws {UsageError} if it is not allowed.
 */
export async function readWord<T>(
  name: string,
  text: string,
  parse: (text: string) => T | Promise<T>,
  context: string,
): Promise<T> {
  try {
    return await parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new UsageError(refusal(name, error.message), context, error);
  }
}

/**
 * The message for a value that is not allowed. Messages of core name their own action, `Cannot read the
 * address "10.0.0": …`, which the source takes the place of.
 */
export function refusal(source: string, reason: string): string {
  const [, quoted, state] = /^Cannot [a-z]+ [^"]*("[^"]*"): (.*)$/s.exec(reason) ?? [];
  return quoted === undefined
    ? `Cannot use ${source}: ${reason}`
    : `Cannot use ${source} ${quoted}: ${state}`;
}

/**
 * Reads what a flag is said to be; `source` names the place in the message.
 *
 * @throws {UsageError} if it is neither.
 */
export function parseBoolean(text: string, source: string, context: string): boolean {
  if (["true", "yes", "on", "1"].includes(text.toLowerCase())) return true;
  if (["false", "no", "off", "0"].includes(text.toLowerCase())) return false;
  throw new UsageError(`Cannot use ${source}: "${text}" is neither true nor false`, context);
}
