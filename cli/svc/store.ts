/**
 * What the commands of `knet svc` share.
 *
 * @module
 */
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import type { Store } from "../../core/store/store.ts";
import type { WordSpec } from "../command.ts";
import { UsageError } from "../errors.ts";
import { cliLogger } from "../log.ts";
import { refusal } from "../option_value.ts";
import type { Settings } from "../settings.ts";

/** The word that names a service. */
export const NAME_WORD: WordSpec = { name: "NAME", help: "Name of the service" };

/** Milliseconds for a change of thousands of services in one transaction. */
const LARGE_DEADLINE = 60_000;

/** Opens the store for a while; `large` gives it time for thousands of services. */
export async function withStore<T>(
  settings: Settings,
  work: (store: Store) => Promise<T>,
  { large = false } = {},
): Promise<T> {
  const { openStore } = await import("../../core/store/open.ts");
  await using store = await openStore(
    settings.storeUrl,
    large ? { deadlineMs: LARGE_DEADLINE } : {},
  );
  return await work(store);
}

/** Logs sentences of a change. */
export function warn(sentences: readonly string[]): void {
  for (const sentence of sentences) cliLogger().warn("{sentence}", { sentence });
}

/** What the agent of this host says of its services; undefined if there is no agent, or one without services. */
export async function askServices(settings: Settings): Promise<ServicesReport | undefined> {
  const { askAgent } = await import("../../core/inspect/status.ts");
  const body = await askAgent(settings.stateDir, "/services");
  if (body === undefined) return undefined;
  const { readServicesReport } = await import("../../core/inspect/report_shape.ts");
  return readServicesReport(body);
}

/**
 * Reads a word by the parser of an option.
 *
 * @throws {UsageError} if it is not allowed.
 */
export async function readWord<T>(
  name: string,
  text: string,
  parse: (text: string) => T | Promise<T>,
  context: string,
): Promise<T> {
  try {
    return await parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new UsageError(refusal(name, error.message), context, error);
  }
}

/** Reads a file, or standard input for "-". */
export async function readInput(file: string, context: string): Promise<string> {
  try {
    return file === "-"
      ? await new Response(Deno.stdin.readable).text()
      : await Deno.readTextFile(file);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const state = error instanceof Deno.errors.NotFound ? "there is no such file" : error.message;
    throw new UsageError(`Cannot read "${file}": ${state}`, context, error);
  }
}

/** What to call the input in messages. */
export function nameOfInput(file: string): string {
  return file === "-" ? "standard input" : `"${file}"`;
}
