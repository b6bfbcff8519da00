/**
 * Reads the command line: which command is called, with which options and words, or which help page is asked for.
 *
 * @module
 */
import { CommanderError } from "commander";
import type { Command, CommandEntry } from "./command.ts";
import { CommandParser } from "./command_parser.ts";
import { fullName, programExamples, usageExamples } from "./help.ts";
import type { OptionTable, Parsed } from "./option_table.ts";

/** What a command line asks for. */
export type Request = Call | HelpPage | { readonly kind: "version" };

/** A command with what it is given. */
export interface Call {
  readonly kind: "call";
  readonly command: Command;
  /** As named in messages: `knet lease ls`. */
  readonly context: string;
  /** Its own and those of every command. */
  readonly options: Parsed<OptionTable>;
  readonly words: readonly string[];
}

/** A help page. */
export interface HelpPage {
  readonly kind: "help";
  readonly text: string;
  /** False where it stands in for a command that is missing. */
  readonly asked: boolean;
}

/**
 * Reads a command line. Of the commands, only the one called is loaded.
 *
 * @param everywhere options of every command.
 * @throws {UsageError} if there is no such command or option, or a value is not allowed.
 */
export async function readCommandLine(
  args: readonly string[],
  commands: readonly CommandEntry[],
  everywhere: OptionTable,
): Promise<Request> {
  let page = "";
  const write = (text: string) => void (page += text);
  let called: { readonly parser: CommandParser; readonly command: Command } | undefined;
  const fill = (parent: CommandParser, command: Command) => {
    const parser = parent.command(lastWord(command)).takeCommand(command);
    parser.action(() => void (called = { parser, command }));
  };
  const program = new CommandParser("knet").takeOptions(everywhere)
    .summary("one flat container network across a handful of hosts").usage("COMMAND [OPTIONS]")
    .addHelpText("after", programExamples).helpOption("-h, --help", "Show this page")
    .exitOverride().configureOutput({
      writeOut: write,
      writeErr: write,
      // Whether there are colours is for output.ts to say.
      getOutHasColors: () => true,
      getErrHasColors: () => true,
    });
  program.option("-V, --version").options.at(-1)!.hideHelp();

  const { operands } = program.parseOptions([...args]);
  if (program.opts()["version"] === true) return { kind: "version" };
  const helpFor = operands[0] === "help" ? operands.filter((word) => word !== "help") : undefined;
  const [word, innerWord] = helpFor ?? operands;
  const loaded = await commands.find(({ name }) => name === word)?.load();
  if (loaded === undefined) {
    for (const { name, summary } of commands) program.command(name).summary(summary);
  } else if ("run" in loaded) fill(program, loaded);
  else {
    const group = program.command(loaded.name).summary(loaded.summary).usage("COMMAND [OPTIONS]")
      .addHelpText(
        "after",
        usageExamples(loaded.commands.flatMap(({ examples }) => examples.slice(0, 1))),
      );
    const inner = loaded.commands.find((command) => lastWord(command) === innerWord);
    for (const command of inner === undefined ? loaded.commands : [inner]) fill(group, command);
  }
  try {
    await program.parseAsync(helpFor === undefined ? args : [...helpFor, "--help"], {
      from: "user",
    });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: "help", text: page, asked: error.exitCode === 0 };
  }
  const { parser, command } = called!;
  const context = fullName(parser);
  const options = { ...await program.read(context), ...await parser.read(context) };
  return { kind: "call", command, context, options, words: parser.args };
}

/** The word by which a group knows a command: `reserve` of `lease reserve`. */
function lastWord({ name }: Command): string {
  return name.slice(name.lastIndexOf(" ") + 1);
}
