/**
 * Finds the command, parses its options, runs it, and turns what it throws into a message and an exit status.
 *
 * @module
 */
import { logLater } from "../core/base/late_logging.ts";
import type { Command, CommandGroup, Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { hidePasswords, reportOf, UsageError } from "./errors.ts";
import { globalOptions } from "./options.ts";
import { paintError, print, printError } from "./output.ts";
import { parseCommandLine, takeWord } from "./parse.ts";
import type { OptionTable } from "./option_table.ts";
import { resolveSettings, type Settings } from "./settings.ts";
import { nearest } from "./suggest.ts";

/** Runs a command line and resolves to the exit status. */
export async function dispatch(args: readonly string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    const report = reportOf(error);
    printError(paintError("knet: ") + hidePasswords(report.message));
    if (report.remedy !== undefined) printError(`  ${hidePasswords(report.remedy)}`);
    if (wantsStack(args) && report.exitCode !== 2) printError(hidePasswords(stackOf(error)));
    return report.exitCode;
  }
}

async function run(args: readonly string[]): Promise<number> {
  const { word, rest } = takeWord(args, globalOptions, "knet");
  if (word === undefined || word === "help") return await help(rest, word === "help");
  const entry = COMMANDS.find(({ name }) => name === word);
  if (entry === undefined) throw unknownCommand(word, COMMANDS.map(({ name }) => name), "knet");
  const loaded = await entry.load();
  if ("run" in loaded) return await runCommand(loaded, rest);
  return await runGroup(loaded, rest);
}

async function help(rest: readonly string[], asked: boolean): Promise<number> {
  if (rest.includes("--version")) {
    const { printVersion } = await import("./version.ts");
    printVersion(rest.includes("--json"));
    return 0;
  }
  const { word } = takeWord(rest, globalOptions, "knet");
  if (word !== undefined) return await run([...rest, "--help"]);
  const { help: flagged } = await parseCommandLine(rest, globalOptions, "knet");
  const { rootHelp } = await import("./help.ts");
  if (asked || flagged) {
    print(rootHelp(COMMANDS));
    return 0;
  }
  printError(rootHelp(COMMANDS));
  return 2;
}

async function runGroup(group: CommandGroup, args: readonly string[]): Promise<number> {
  const { groupHelp, lastWord } = await import("./help.ts");
  const context = `knet ${group.name}`;
  const { word, rest } = takeWord(args, globalOptions, context);
  const command = group.commands.find((each) => lastWord(each) === word);
  if (command !== undefined) return await runCommand(command, rest);
  if (word !== undefined) throw unknownCommand(word, group.commands.map(lastWord), context);
  const { help } = await parseCommandLine(rest, globalOptions, context);
  if (help) {
    print(groupHelp(group));
    return 0;
  }
  printError(groupHelp(group));
  return 2;
}

async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  const context = `knet ${command.name}`;
  const table = { ...globalOptions, ...command.options };
  const line = await parseCommandLine(args, table, context);
  if (line.help) {
    const { commandHelp } = await import("./help.ts");
    print(commandHelp(command));
    return 0;
  }
  checkWords(command, line.words, context);
  const read = async (): Promise<Invocation<OptionTable>> => {
    const { options, settings } = await resolveSettings(line.options, command.options, context);
    if (command.hardlyLogs && settings.warnings.length === 0) logLater(() => log(settings));
    else await log(settings);
    return { options, words: line.words, settings, reread: read };
  };
  return await command.run(await read()) ?? 0;
}

async function log({ logLevel, logFormat, warnings }: Settings): Promise<void> {
  const { cliLogger, startLogging } = await import("./log.ts");
  await startLogging(logLevel, logFormat);
  for (const warning of warnings) cliLogger().warn(warning);
}

function checkWords(command: Command, words: readonly string[], context: string): void {
  const missing = command.words.slice(words.length).find(({ optional }) => !optional);
  if (missing !== undefined) {
    throw new UsageError(`Cannot run "${context}": ${missing.name} is missing`, context);
  }
  const extra = words[command.words.length];
  if (extra !== undefined) {
    throw new UsageError(
      `Cannot understand "${extra}": "${context}" takes ${
        command.words.length === 0
          ? "no arguments"
          : `no more than ${command.words.map(({ name }) => name).join(" and ")}`
      }`,
      context,
    );
  }
  command.words.forEach(({ name, choices }, at) => {
    const word = words[at];
    if (word === undefined || choices === undefined || choices.includes(word)) return;
    const meant = nearest(word, choices);
    throw new UsageError(
      `Cannot use "${word}" as ${name}: give ${choices.join(", ")}` +
        (meant === undefined ? "" : ` (did you mean "${meant}"?)`),
      context,
    );
  });
}

function unknownCommand(word: string, known: readonly string[], context: string): UsageError {
  const meant = nearest(word, known);
  return new UsageError(
    `Cannot run "${context} ${word}": there is no such command` +
      (meant === undefined ? "" : `, did you mean "${meant}"?`),
    context,
  );
}

/** Judged from the raw arguments: the error may have come before they were parsed. */
function wantsStack(args: readonly string[]): boolean {
  const at = args.indexOf("--log-level");
  return args.includes("--log-level=debug") || (at >= 0 && args[at + 1] === "debug") ||
    (at < 0 && Deno.env.get("KNET_LOG_LEVEL") === "debug");
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\nCaused by: ${stackOf(error.cause)}`;
}
