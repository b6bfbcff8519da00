/**
 * A small typed layer over `parseArgs` of node:util: options are values in a record, and what comes out
 * has their types.
 *
 * Packages were tried first. Without a code cache, as in the compiled binary, loading one costs on every
 * command: `@optique/run` 67 ms, `commander` 43 ms, `@optique/core` alone 30 ms, `parseArgs` 10 ms, over 17 ms
 * of an empty program.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";
import { nearest } from "./suggest.ts";

interface OptionCommon {
  /** One line for the help page. */
  readonly help: string;
  /** Left out of help and completion. */
  readonly hidden?: boolean;
  /** The default in words, for the help page. */
  readonly fallback?: string;
  /** One letter that stands for it behind a single dash. */
  readonly short?: string;
  /** Environment variable that stands in for the option. */
  readonly env?: string;
}

/** An option without a value; `--no-NAME` denies it. */
export interface FlagOption extends OptionCommon {
  readonly kind: "flag";
}

/** An option with a value of type `T`. */
export interface ValueOption<T> extends OptionCommon {
  readonly kind: "value";
  readonly metavar: string;
  /**
   * Turns the text into the value.
   *
   * @throws SyntaxError or RangeError whose message says what is allowed: `"70000" is not a port: give 1 to 65535`.
   */
  readonly parse: (text: string) => T | Promise<T>;
  /** For completion. */
  readonly choices?: readonly string[];
  /** For completion: what kind of thing the value is. */
  readonly complete?: "file" | "directory";
  readonly repeatable?: boolean;
}

/** An option that may be given several times; its value is all of them. */
export interface ListOption<T> extends ValueOption<T> {
  readonly repeatable: true;
}

/** A record of options by their long names. */
// deno-lint-ignore ban-types -- unknown would lose what each parser yields, and functions are not co-variant in it
export type OptionTable = Readonly<Record<string, FlagOption | ValueOption<{}>>>;

/** What parsing a table yields: a value for each option that was given. */
export type Parsed<Table extends OptionTable> = {
  readonly [Name in keyof Table]?: ValueOf<Table[Name]>;
};

type ValueOf<Option> = Option extends ListOption<infer T> ? readonly T[]
  : Option extends ValueOption<infer T> ? T
  : boolean;

/** Makes a flag. */
export function flag(help: string, more: Omit<FlagOption, "kind" | "help"> = {}): FlagOption {
  return { kind: "flag", help, ...more };
}

/** Makes an option with a value. */
export function value<T>(
  metavar: string,
  help: string,
  parse: (text: string) => T | Promise<T>,
  more: Omit<ValueOption<T>, "kind" | "help" | "metavar" | "parse"> = {},
): ValueOption<T> {
  return { kind: "value", metavar, help, parse, ...more };
}

/** Makes an option that may be given several times. */
export function list<T>(
  metavar: string,
  help: string,
  parse: (text: string) => T | Promise<T>,
): ListOption<T> {
  return { kind: "value", metavar, help, parse, repeatable: true };
}

/** A word or option as it stands on the command line. */
type Token =
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "option"; readonly name: string; readonly value: string | boolean };

/** The command line in tokens; options must be known. `context` is named in messages: "knet join". */
function tokenize(args: readonly string[], table: OptionTable, context: string): Token[] {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [name, option] of Object.entries(table)) {
    options[name] = {
      type: option.kind === "flag" ? "boolean" : "string",
      ...(option.short !== undefined && { short: option.short }),
    };
  }
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  return tokens.flatMap((token): Token[] => {
    if (token.kind === "option-terminator") return [];
    if (token.kind === "positional") return [{ kind: "word", text: token.value }];
    if (token.name === "help") return [{ kind: "option", name: "help", value: true }];
    return [optionToken(token.name, token.rawName, token.value, token.inlineValue, table, context)];
  });
}

function optionToken(
  name: string,
  rawName: string,
  given: string | undefined,
  inline: boolean | undefined,
  table: OptionTable,
  context: string,
): Token {
  const option = Object.hasOwn(table, name) ? table[name] : undefined;
  if (option?.kind === "value") {
    const looksLikeOption = !inline && given?.startsWith("--") &&
      Object.hasOwn(table, given.slice(2).split("=")[0]!);
    if (given === undefined || given === "" || looksLikeOption) {
      throw new UsageError(`Cannot use "--${name}": it needs a value (${option.metavar})`, context);
    }
    return { kind: "option", name, value: given };
  }
  const denied = name.startsWith("no-") ? name.slice(3) : undefined;
  if (option === undefined && denied !== undefined && table[denied]?.kind === "flag") {
    if (given !== undefined) {
      throw new UsageError(`Cannot use "--${name}=${given}": it takes no value`, context);
    }
    return { kind: "option", name: denied, value: false };
  }
  if (option?.kind === "flag") {
    return {
      kind: "option",
      name,
      value: given === undefined ? true : parseBoolean(given, `--${name}`, context),
    };
  }
  const visible = Object.keys(table).filter((each) => !table[each]?.hidden);
  const meant = nearest(name, [...visible, "help", "version"]);
  throw new UsageError(
    `Cannot understand "${rawName}": ${context} has no such option` +
      (meant === undefined ? "" : `, did you mean "--${meant}"?`),
    context,
  );
}

function parseBoolean(text: string, source: string, context: string): boolean {
  if (["true", "yes", "on", "1"].includes(text.toLowerCase())) return true;
  if (["false", "no", "off", "0"].includes(text.toLowerCase())) return false;
  throw new UsageError(`Cannot use ${source}: "${text}" is neither true nor false`, context);
}

/** A command line with its options parsed. */
export interface CommandLine<Table extends OptionTable> {
  readonly words: string[];
  readonly options: Parsed<Table>;
  readonly help: boolean;
}

/**
 * Parses a command line; the last one of a repeated option holds, unless it is one that takes all.
 *
 * @throws {UsageError} if an option is unknown or its value not allowed.
 */
export async function parseCommandLine<Table extends OptionTable>(
  args: readonly string[],
  table: Table,
  context: string,
): Promise<CommandLine<Table>> {
  const words: string[] = [];
  const raw = new Map<string, (string | boolean)[]>();
  for (const token of tokenize(args, table, context)) {
    if (token.kind === "word") words.push(token.text);
    else raw.set(token.name, [...raw.get(token.name) ?? [], token.value]);
  }
  const help = raw.delete("help");
  const options: Record<string, unknown> = {};
  if (!help) {
    for (const [name, given] of raw) {
      const option = table[name];
      const repeatable = option?.kind === "value" && option.repeatable === true;
      const values = [];
      for (const text of repeatable ? given : given.slice(-1)) {
        values.push(await parseOption(table, name, text, `--${name}`, context));
      }
      options[name] = repeatable ? values : values[0];
    }
  }
  return { words, options: options as Parsed<Table>, help };
}

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
  try {
    return await option.parse(String(text));
  } catch (error) {
    // Anything else is no fault of the value.
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new UsageError(refusal(source, error.message), context, error);
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
 * Splits off the first word that is neither an option nor the value of one: the command's name.
 * Options the table does not know stay where they are, for the command to judge.
 */
export function takeWord(
  args: readonly string[],
  table: OptionTable,
): { readonly word: string | undefined; readonly rest: string[] } {
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === "--") break;
    if (arg.startsWith("--")) {
      if (table[arg.slice(2)]?.kind === "value") at++;
      continue;
    }
    if (arg.startsWith("-") && arg.length > 1) continue;
    return { word: arg, rest: [...args.slice(0, at), ...args.slice(at + 1)] };
  }
  return { word: undefined, rest: [...args] };
}
