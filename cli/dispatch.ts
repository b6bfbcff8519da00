/**
 * Runs what the command line asks for, and turns what it throws into a message and an exit status.
 *
 * @module
 */
import { logLater } from "../core/base/late_logging.ts";
import type { Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { hidePasswords, reportOf } from "./errors.ts";
import type { OptionTable } from "./option_table.ts";
import { globalOptions } from "./shared_options.ts";
import { paintError, print, printError } from "./output.ts";
import { type Call, readCommandLine } from "./program.ts";
import { resolveSettings, type Settings } from "./settings.ts";

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
  const request = await readCommandLine(args, COMMANDS, globalOptions);
  switch (request.kind) {
    case "version": {
      const { printVersion } = await import("./version.ts");
      printVersion(args.includes("--json"));
      return 0;
    }
    case "help":
      (request.asked ? print : printError)(request.text);
      return request.asked ? 0 : 2;
    case "call":
      return await call(request);
  }
}

async function call({ command, context, options: given, words }: Call): Promise<number> {
  const read = async (): Promise<Invocation<OptionTable>> => {
    const { options, settings } = await resolveSettings(given, command.options, context);
    if (command.hardlyLogs && settings.warnings.length === 0) logLater(() => log(settings));
    else await log(settings);
    return { options, words, settings, reread: read };
  };
  return await command.run(await read()) ?? 0;
}

async function log({ logLevel, logFormat, warnings }: Settings): Promise<void> {
  const { cliLogger, startLogging } = await import("./log.ts");
  await startLogging(logLevel, logFormat);
  for (const warning of warnings) cliLogger().warn(warning);
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
