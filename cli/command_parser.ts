/**
 * `commander` as it serves knet: words and options come from our descriptions, and what it does not understand is said in our words.
 *
 * @module
 */
import { Argument, Command as Parser, type ErrorOptions, Option } from "commander";
import type { HelpContext, ParseOptionsResult } from "commander";
import type { Command, WordSpec } from "./command.ts";
import { UsageError } from "./errors.ts";
import { fullName, HelpLayout, usageExamples } from "./help.ts";
import { optionNote, type OptionTable, type Parsed } from "./option_table.ts";
import { parseBoolean, parseOption } from "./option_value.ts";
import { didYouMean } from "./suggest.ts";

/** A command, a group of commands or the program itself, as commander knows it. */
export class CommandParser extends Parser {
  #table: OptionTable = {};

  constructor(name?: string) {
    super(name);
    this.helpCommand(false);
  }

  override createCommand(name?: string): CommandParser {
    return new CommandParser(name);
  }

  override createHelp(): HelpLayout {
    return new HelpLayout();
  }

  /** Takes the words and options of a command. */
  takeCommand({ summary, about, words, options, examples }: Command): this {
    for (const word of words) this.addArgument(this.#argument(word));
    const names = words.map(({ name, optional }) => optional ? `[${name}]` : name);
    return this.takeOptions(options).summary(summary).usage([...names, "[OPTIONS]"].join(" "))
      .description((about ?? []).join("\n\n")).addHelpText("after", usageExamples(examples));
  }

  /** Takes the options of a table; what is given for them is kept as text until {@linkcode read}. */
  takeOptions(table: OptionTable): this {
    this.#table = table;
    for (const [name, option] of Object.entries(table)) {
      const flags = `${option.short === undefined ? "" : `-${option.short}, `}--${name}`;
      if (option.kind === "flag") {
        this.addOption(new Option(flags, optionNote(option)).hideHelp(option.hidden === true));
        this.addOption(new Option(`--no-${name}`).hideHelp());
        continue;
      }
      const more = option.repeatable ? " …" : "";
      const own = new Option(`${flags} <${option.metavar}${more}>`, optionNote(option))
        .hideHelp(option.hidden === true);
      this.addOption(own.argParser((text: string, before: readonly string[] = []) => {
        // What is another option, or nothing, is no value.
        if (text === "" || this.#find(text.split("=", 1)[0]!) !== undefined) this.#misses(own);
        return option.repeatable ? [...before, text] : [text];
      }));
    }
    return this;
  }

  /**
   * The values of the options that were given. Of one that was given several times the last holds, unless it takes all.
   *
   * @throws {UsageError} if a value is not allowed.
   */
  async read(context: string): Promise<Parsed<OptionTable>> {
    const found: Record<string, unknown> = {};
    for (const [name, option] of Object.entries(this.#table)) {
      const given = this.getOptionValue(this.#find(`--${name}`)!.attributeName());
      if (option.kind === "flag" || given === undefined) {
        if (given !== undefined) found[name] = given;
        continue;
      }
      const values = [];
      for (const text of given) {
        values.push(await parseOption(this.#table, name, text, `--${name}`, context));
      }
      found[name] = option.repeatable ? values : values[0];
    }
    return found as Parsed<OptionTable>;
  }

  /** Flags may have `=true` and `=false` behind them, which commander knows of options with values only. */
  override parseOptions(args: string[]): ParseOptionsResult {
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    return super.parseOptions(args.map((arg, at) => {
      const [, long, text] = /^(--[^=]+)=(.*)$/s.exec(arg) ?? [];
      const option = long === undefined || at > end ? undefined : this.#find(long);
      if (option?.negate || (long === "--help" && at < end)) {
        throw this.#wrong(`Cannot use "${arg}": it takes no value`);
      }
      if (!option?.isBoolean()) return arg;
      return parseBoolean(text!, long!, fullName(this)) ? long! : `--no-${option.name()}`;
    }));
  }

  /** commander would show a page for `knet jion --help`, too. */
  override helpInformation(context?: HelpContext): string {
    const [word] = this.args;
    if (this.commands.length > 0 && word !== undefined && !word.startsWith("-")) {
      this.error(`'${word}'`, { code: "commander.unknownCommand" });
    }
    return super.helpInformation(context);
  }

  /** Every complaint of commander comes here, told by its code; what it is about stands in quotes. */
  override error(message: string, { code }: ErrorOptions = {}): never {
    const context = fullName(this);
    const about = /'(.*)'/s.exec(message)?.[1] ?? "";
    switch (code) {
      case "commander.unknownOption":
        throw this.#unknown(about.startsWith("--") ? about.split("=", 1)[0]! : about);
      case "commander.optionMissingArgument":
        return this.#misses(this.options.find(({ flags }) => flags === about)!);
      case "commander.missingArgument":
        throw this.#wrong(`Cannot run "${context}": ${about} is missing`);
      case "commander.excessArguments": {
        const names = this.registeredArguments.map((argument) => argument.name());
        const all = names.length === 0 ? "no arguments" : `no more than ${names.join(" and ")}`;
        const extra = this.args[names.length];
        throw this.#wrong(`Cannot understand "${extra}": "${context}" takes ${all}`);
      }
      case "commander.unknownCommand": {
        const meant = didYouMean(about, this.commands.map((command) => command.name()));
        throw this.#wrong(`Cannot run "${context} ${about}": there is no such command${meant}`);
      }
      default:
        throw this.#wrong(message);
    }
  }

  #argument({ name, help, optional, choices }: WordSpec): Argument {
    return new Argument(optional ? `[${name}]` : `<${name}>`, help).argParser((word: string) => {
      if (choices === undefined || choices.includes(word)) return word;
      const meant = didYouMean(word, choices, { before: " (", after: ")" });
      throw this.#wrong(`Cannot use "${word}" as ${name}: give ${choices.join(", ")}${meant}`);
    });
  }

  #find(long: string): Option | undefined {
    return this.options.find((option) => option.long === long);
  }

  #misses(option: Option): never {
    const metavar = /<(.*?)(?: …)?>/.exec(option.flags)?.[1];
    throw this.#wrong(`Cannot use "--${option.name()}": it needs a value (${metavar})`);
  }

  #unknown(flag: string): UsageError {
    const help = this.createHelp();
    const options = [...help.visibleOptions(this), ...help.visibleGlobalOptions(this)];
    const meant = didYouMean(
      flag.replace(/^-+/, ""),
      [...options.map(({ long }) => long!.slice(2)), "version"],
      { dashes: "--" },
    );
    return this.#wrong(`Cannot understand "${flag}": ${fullName(this)} has no such option${meant}`);
  }

  #wrong(message: string): UsageError {
    return new UsageError(message, fullName(this));
  }
}
