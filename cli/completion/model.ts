/**
 * What completion scripts are made of.
 *
 * @module
 */
import type { Command, CommandEntry } from "../command.ts";
import { globalOptions } from "../shared_options.ts";
import type { OptionTable, ValueOption } from "../option_table.ts";

/** All that may be typed. */
export interface CommandTree {
  /** What may follow `knet`. */
  readonly entries: readonly CommandEntry[];
  /** Every command, those of groups one by one. */
  readonly commands: readonly Command[];
}

/** An option as a shell needs it. */
export interface ShellOption {
  /** With its dashes. */
  readonly name: string;
  readonly help: string;
  readonly takesValue: boolean;
  readonly metavar: string;
  readonly choices: readonly string[];
  readonly complete: ValueOption<unknown>["complete"];
}

/** Options of a table that are shown, in the order of the help page. */
export function shellOptions(table: OptionTable): ShellOption[] {
  return Object.entries(table).filter(([, option]) => !option.hidden).map(([name, option]) => ({
    name: `--${name}`,
    help: option.help,
    takesValue: option.kind === "value",
    metavar: option.kind === "value" ? option.metavar : "",
    choices: option.kind === "value" ? option.choices ?? [] : [],
    complete: option.kind === "value" ? option.complete : undefined,
  }));
}

/** Options of every command, `--help` too. */
export function commonOptions(): ShellOption[] {
  return [...shellOptions(globalOptions), {
    name: "--help",
    help: "Show help",
    takesValue: false,
    metavar: "",
    choices: [],
    complete: undefined,
  }];
}

/** Words that may follow `knet`, or a group of it, with their summaries. */
export function wordsAfter(
  group: string,
  { entries, commands }: CommandTree,
): (readonly [word: string, summary: string])[] {
  if (group === "") return entries.map(({ name, summary }) => [name, summary] as const);
  return commands.filter(({ name }) => name.startsWith(`${group} `))
    .map(({ name, summary }) => [name.slice(group.length + 1), summary] as const);
}

/** The groups that the commands belong to, "" for the program itself first. */
export function groups(commands: readonly Command[]): string[] {
  const inner = commands.filter(({ name }) => name.includes(" "))
    .map(({ name }) => name.slice(0, name.indexOf(" ")));
  return ["", ...new Set(inner)];
}

/** The distinct valued options of all commands. */
export function valuedOptions(commands: readonly Command[]): ShellOption[] {
  const all = [
    ...commonOptions(),
    ...commands.flatMap(({ options }) => shellOptions(options)),
  ].filter(({ takesValue }) => takesValue);
  return [...new Map(all.map((option) => [option.name, option])).values()];
}
