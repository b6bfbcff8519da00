/**
 * What a command is: its help, its options, and what it does with them.
 *
 * @module
 */
import type { OptionTable, Parsed } from "./option_table.ts";
import type { Settings } from "./settings.ts";

/** What a command is given. */
export interface Invocation<Table extends OptionTable> {
  /** The command's own options, from the command line, the environment and the configuration file. */
  readonly options: Parsed<Table>;
  /** The command's words, as many as it asks for. */
  readonly words: readonly string[];
  /** The global options with their defaults. */
  readonly settings: Settings;
  /** Reads the configuration file again, and starts logging anew as it says. */
  readonly reread: () => Promise<Invocation<Table>>;
}

/** A line that shows a use of the command, and what it is good for. */
export interface Example {
  readonly line: string;
  readonly about: string;
}

/** A word after the command's name. */
export interface WordSpec {
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
  /** For completion. */
  readonly complete?: "netns" | "lease" | "service" | "server" | "container";
  readonly choices?: readonly string[];
}

/** A command. The exit status it resolves to is 0 where it does not say. */
export interface Command<Table extends OptionTable = OptionTable> {
  /** As typed: `join`, `lease reserve`. */
  readonly name: string;
  readonly summary: string;
  /** Paragraphs below the summary. */
  readonly about?: readonly string[];
  readonly words: readonly WordSpec[];
  readonly options: Table;
  readonly examples: readonly Example[];
  /** Nothing that it loads logs but the store, which sets logging up when it has to. */
  readonly hardlyLogs?: true;
  readonly run: (invocation: Invocation<Table>) => Promise<number | void>;
}

/** A command that only holds others: `lease`. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

/** A command that is not loaded yet. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command | CommandGroup>;
}

/** Checks a command's types, then forgets those of its options, so that all commands fit in one list. */
export function defineCommand<Table extends OptionTable>(command: Command<Table>): Command {
  return command as unknown as Command;
}
