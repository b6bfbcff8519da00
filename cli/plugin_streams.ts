/**
 * How plugins of container runtimes are asked and answer: standard input to its end, standard output.
 *
 * @module
 */

/** All of standard input; empty on a terminal. */
export async function readInput(): Promise<string> {
  if (Deno.stdin.isTerminal()) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of Deno.stdin.readable) text += decoder.decode(chunk, { stream: true });
  return text;
}

/** Prints a document, if there is one; returns the exit status. */
export function tell(document: string, status: number): number {
  if (document === "") return status;
  const bytes = new TextEncoder().encode(`${document}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  return status;
}
