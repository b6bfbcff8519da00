/**
 * The one way a test says that it could not run: `tests/run.ts` counts these lines as skipped.
 *
 * @module
 */

/** Prints the line that the test runner counts; the caller returns from its test afterwards. */
export function skip(name: string, reason: string): void {
  console.log(`SKIPPED ${name}: ${reason}`);
}

/** Why this process cannot build network namespaces, or undefined when it can. */
export function whyNoLab(): string | undefined {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  const probe = run("ip", "netns", "list");
  if (probe === undefined) return "needs iproute2";
  const unshare = run("unshare", "-n", "-m", "-u", "true");
  if (unshare !== 0) return "needs the right to create namespaces";
  return undefined;
}

function run(command: string, ...args: string[]): number | undefined {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().code;
  } catch {
    return undefined;
  }
}
