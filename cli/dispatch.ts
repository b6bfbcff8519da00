/**
 * Runs what the command line asks for, and turns what it throws into a message and an exit status.
 *
 * @module
 */
import { logLater } from "../core/base/late_logging.ts";
import type { Invocation } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { hidePasswords } from "../core/base/secrets.ts";
import { type ErrorReport, reportOf, UsageError } from "./errors.ts";
import type { OptionTable } from "./option_table.ts";
import { globalOptions } from "./shared_options.ts";
import { paintError, print, printError, printJson } from "./output.ts";
import { type Call, readCommandLine } from "./program.ts";
import { resolveSettings, type Settings } from "./settings.ts";

/** Runs a command line and resolves to the exit status. */
export async function dispatch(args: readonly string[]): Promise<number> {
  try {
    if (args[0] === "__complete") return await complete(args.slice(1));
    return await run(args);
  } catch (error) {
    const report = reportOf(error);
    tellError(report, wantsJson(args));
    if (wantsStack(args) && report.exitCode !== 2) printError(hidePasswords(stackOf(error)));
    return report.exitCode;
  }
}

async function run(args: readonly string[]): Promise<number> {
  const request = await readCommandLine(args, COMMANDS, globalOptions);
  switch (request.kind) {
    case "version": {
      const { versionText } = await import("./version.ts");
      print(versionText(wantsJson(args)));
      return 0;
    }
    case "help":
      if (request.asked) print(request.text);
      else if (wantsJson(args)) {
        throw new UsageError(`Cannot run "knet": COMMAND is missing`, "knet");
      } else printError(request.text);
      return request.asked ? 0 : 2;
    case "call":
      return await call(request);
  }
}

async function complete(typed: readonly string[]): Promise<number> {
  const { candidates } = await import("./completion/candidates.ts");
  print(await candidates(typed, COMMANDS));
  return 0;
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

/** With `--json`, one document on standard output, where results stand, too; else lines on standard error. */
function tellError({ message, remedy, exitCode }: ErrorReport, json: boolean): void {
  const [shown, advice] = [message, remedy].map((text) => text && hidePasswords(text));
  try {
    if (json) return printJson({ error: { message: shown, remedy: advice ?? null, exitCode } });
  } catch {
    // Standard output itself is what fails.
  }
  printError(paintError("knet: ") + shown);
  if (advice) printError(`  ${advice}`);
}

/** Judged from the raw arguments, as all that follows: the error may have come before they were parsed. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const last = args.slice(0, end < 0 ? args.length : end)
    .findLast((arg) => /^--(?:no-)?json(?:=|$)/.test(arg));
  return last === "--json" || /^--json=(?:true|yes|on|1)$/i.test(last ?? "");
}

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
