/**
 * What a command reads: a file, or standard input.
 *
 * @module
 */
import { UsageError, whyUnreadable } from "../errors.ts";

/** Reads a file, or standard input for "-". */
export async function readInput(file: string, context: string): Promise<string> {
  try {
    return file === "-"
      ? await new Response(Deno.stdin.readable).text()
      : await Deno.readTextFile(file);
  } catch (error) {
    throw new UsageError(`Cannot read "${file}": ${whyUnreadable(error)}`, context, error);
  }
}

/** What to call the input in messages. */
export function nameOfInput(file: string): string {
  return file === "-" ? "standard input" : `"${file}"`;
}
