/**
 * Options as values in a record: what a command's own are, and what comes out of them has their types.
 *
 * @module
 */

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
  readonly complete?: "file" | "directory" | "interface" | "lease";
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

/** What an option is for, with its default and its variable. */
export function optionNote({ help, fallback, env }: OptionCommon): string {
  const notes = [
    ...(fallback === undefined ? [] : [`default: ${fallback}`]),
    ...(env === undefined ? [] : [env]),
  ];
  return help + (notes.length === 0 ? "" : ` (${notes.join("; ")})`);
}
