/**
 * How plugins of container runtimes are asked and answer: standard input to its end, standard output.
 *
 * @module
 */

/** All of standard input; empty on a terminal. Read at once: streams take longer to load than the runtime to answer. */
export function readInput(): string {
  if (Deno.stdin.isTerminal()) return "";
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(65_536);
  let text = "";
  for (let count; (count = Deno.stdin.readSync(chunk)) !== null;) {
    text += decoder.decode(chunk.subarray(0, count), { stream: true });
  }
  return text + decoder.decode();
}

/** Prints a document, if there is one; returns the exit status. */
export function tell(document: string, status: number): number {
  if (document === "") return status;
  const bytes = new TextEncoder().encode(`${document}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  return status;
}
