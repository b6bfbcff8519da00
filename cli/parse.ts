/**
 * Reads a command line by its command's table of options: `commander` takes it apart, and what it does not understand is said in
 * knet's words.
 *
 * @module
 */
import { Command as Parser, CommanderError, Option } from "commander";
import { UsageError } from "./errors.ts";
import type { OptionTable, Parsed } from "./option_table.ts";
import { nearest } from "./suggest.ts";

/** The parser of a table. `context` is named in messages: "knet join". */
function makeParser(table: OptionTable, context: string): Parser {
  const parser = new Parser(context).exitOverride().helpOption(false).option("-h, --help")
    .configureOutput({ writeErr: () => {} });
  for (const [name, option] of Object.entries(table)) {
    const long = `${option.short === undefined ? "" : `-${option.short}, `}--${name}`;
    if (option.kind === "flag") parser.option(long).option(`--no-${name}`);
    else {
      // All values: which of them holds is for the option to say.
      const collect = (text: string, before: readonly string[] = []) => [...before, text];
      parser.addOption(new Option(`${long} <${option.metavar}>`).argParser(collect));
    }
  }
  return parser;
}

/** Runs a parser over a command line. */
function takeApart(
  parser: Parser,
  args: readonly string[],
  context: string,
): { readonly operands: string[]; readonly unknown: string[] } {
  try {
    return parser.parseOptions([...args]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // error: option '-f, --file <FILE>' argument missing
    const [, name, metavar] = /--([^ ]+) <(.*)>' argument missing/.exec(error.message) ?? [];
    if (name === undefined) throw new UsageError(error.message, context, error);
    throw needsValue(name, metavar!, context);
  }
}

function needsValue(name: string, metavar: string, context: string): UsageError {
  return new UsageError(`Cannot use "--${name}": it needs a value (${metavar})`, context);
}

/** Flags may have `=true` and `=false` behind them, which commander knows of options with values only. */
function spellOutFlags(args: readonly string[], table: OptionTable, context: string): string[] {
  const end = args.indexOf("--");
  return args.map((arg, at) => {
    const [, name, text] = /^--([^=]+)=(.*)$/s.exec(arg) ?? [];
    if (name === undefined || text === undefined || (end >= 0 && at > end)) return arg;
    if (flagIn(table, name)) {
      return parseBoolean(text, `--${name}`, context) ? `--${name}` : `--no-${name}`;
    }
    if (!Object.hasOwn(table, name) && name.startsWith("no-") && flagIn(table, name.slice(3))) {
      throw new UsageError(`Cannot use "--${name}=${text}": it takes no value`, context);
    }
    return arg;
  });
}

function flagIn(table: OptionTable, name: string): boolean {
  return Object.hasOwn(table, name) && table[name]?.kind === "flag";
}

function unknownOption(arg: string, table: OptionTable, context: string): UsageError {
  const raw = arg.startsWith("--") ? arg.split("=", 1)[0]! : arg.slice(0, 2);
  const visible = Object.keys(table).filter((each) => !table[each]?.hidden);
  const meant = nearest(raw.replace(/^-+/, ""), [...visible, "help", "version"]);
  return new UsageError(
    `Cannot understand "${raw}": ${context} has no such option` +
      (meant === undefined ? "" : `, did you mean "--${meant}"?`),
    context,
  );
}

/** Values that cannot be meant: none, or what is another option. */
function checkValues(
  name: string,
  values: readonly string[],
  args: readonly string[],
  table: OptionTable,
  metavar: string,
  context: string,
): void {
  for (const text of values) {
    const other = text.startsWith("--") && Object.hasOwn(table, text.slice(2).split("=")[0]!) &&
      !args.includes(`--${name}=${text}`);
    if (text === "" || other) throw needsValue(name, metavar, context);
  }
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
  const parser = makeParser(table, context);
  const { operands, unknown } = takeApart(parser, spellOutFlags(args, table, context), context);
  if (unknown[0] !== undefined) throw unknownOption(unknown[0], table, context);
  const given = new Map(
    parser.options.filter(({ negate }) => !negate).map((option) => [
      option.long!.slice(2),
      parser.getOptionValue(option.attributeName()) as boolean | readonly string[] | undefined,
    ]),
  );
  const help = given.get("help") === true;
  const options: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(table)) {
    const raw = given.get(name);
    if (raw === undefined || help) continue;
    if (option.kind === "flag") {
      options[name] = raw;
      continue;
    }
    checkValues(name, raw as readonly string[], args, table, option.metavar, context);
    const values = [];
    for (const text of option.repeatable ? raw as readonly string[] : (raw as string[]).slice(-1)) {
      values.push(await parseOption(table, name, text, `--${name}`, context));
    }
    options[name] = option.repeatable ? values : values[0];
  }
  return { words: operands, options: options as Parsed<Table>, help };
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
 * Splits off the first word that is neither an option nor the value of one: the command's name. The options before it stay where they
 * are.
 *
 * @throws {UsageError} if an option before it lacks its value.
 */
export function takeWord(
  args: readonly string[],
  table: OptionTable,
  context: string,
): { readonly word: string | undefined; readonly rest: string[] } {
  const { operands } = takeApart(makeParser(table, context).passThroughOptions(), args, context);
  const at = args.length - operands.length;
  const word = args[at - 1] === "--" ? undefined : args[at];
  return { word, rest: word === undefined ? [...args] : args.toSpliced(at, 1) };
}
