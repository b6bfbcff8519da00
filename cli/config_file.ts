/**
 * The configuration file: options of every command and of the agent, one a line. Loaded only where there is one.
 *
 * @module
 */
import * as v from "valibot";
import { parse } from "yaml";
import { hidePasswords } from "../core/base/secrets.ts";
import { UsageError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

const LIST = v.nullish(v.pipe(v.custom((held) => !Array.isArray(held)), v.looseObject({})));
const VALUE = v.union([v.string(), v.boolean(), v.pipe(v.number(), v.transform(String))]);

/**
 * What the file says, in its order.
 *
 * @param name of the file, for messages.
 * @param known names of options.
 * @throws {UsageError} if it is no list of options, or has one that there is not.
 */
export function fileEntries(
  text: string,
  name: string,
  known: readonly string[],
  context: string,
): [name: string, text: string | boolean][] {
  const wrong = (state: string) =>
    new UsageError(`Cannot read the configuration file "${name}": ${state}`, context);
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    // Only the first line: the rest quotes the file, which may hold a password.
    const reason = String(error instanceof Error ? error.message : error).split("\n")[0] ?? "";
    throw wrong(hidePasswords(reason.replace(/:$/, "")));
  }
  const list = v.safeParse(LIST, document);
  if (!list.success) throw wrong('it is not a list of "option: value" lines');
  return Object.entries(list.output ?? {}).map(([key, held]) => {
    if (!known.includes(key)) {
      // What looks like no option is not quoted: another file may have been named, with secrets in it.
      throw wrong(
        /^[a-z][a-z-]{0,30}$/i.test(key)
          ? `it has no option "${key}"` + didYouMean(key, known)
          : "it has a key that is no option",
      );
    }
    const value = v.safeParse(VALUE, held);
    if (!value.success) {
      throw wrong(`"${key}" ${shapeOf(held)}: give one text, number, true or false`);
    }
    return [key, value.output];
  });
}

/** What stands where a single value should. It is not quoted: it may hold a password. */
function shapeOf(held: unknown): string {
  if (held === null) return "has no value";
  if (Array.isArray(held)) return "is a list";
  return typeof held === "object" ? "has options of its own" : "is no value";
}
