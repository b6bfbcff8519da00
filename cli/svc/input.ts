/**
 * What a command reads: a file, or standard input.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

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
