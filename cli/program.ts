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
  const fill = (parser: CommandParser, command: Command) =>
    parser.takeCommand(command).action(() => void (called = { parser, command }));

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
  program.option("--version").options.at(-1)!.hideHelp();
  for (const { name, summary } of commands) program.command(name).summary(summary);
  program.hook("preSubcommand", async (_, sub) => {
    const parser = sub as CommandParser;
    const loaded = await commands.find(({ name }) => name === parser.name())!.load();
    if ("run" in loaded) return void fill(parser, loaded);
    for (const command of loaded.commands) {
      const name = command.name.slice(loaded.name.length + 1);
      fill(parser.command(name).summary(command.summary), command);
    }
    const examples = loaded.commands.flatMap((command) => command.examples.slice(0, 1));
    parser.usage("COMMAND [OPTIONS]").addHelpText("after", usageExamples(examples));
  });

  const { operands } = program.parseOptions([...args]);
  if (program.opts()["version"] === true) return { kind: "version" };
  const line = operands[0] === "help"
    ? [...operands.filter((word) => word !== "help"), "--help"]
    : args;
  try {
    await program.parseAsync(line, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: "help", text: page, asked: error.exitCode === 0 };
  }
  const { parser, command } = called!;
  const context = fullName(parser);
  const options = { ...await program.read(context), ...await parser.read(context) };
  return { kind: "call", command, context, options, words: parser.args };
}
