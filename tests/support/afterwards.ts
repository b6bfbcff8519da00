/**
 * Clearing up after a test process that was killed.
 *
 * @module
 */

/**
 * Runs a shell script once this process is gone, however it went, or once it is disposed of.
 *
 * A shell of its own waits for the end of a pipe that only this process holds.
 */
export function afterwards(script: string): AsyncDisposable {
  const child = new Deno.Command("setsid", {
    args: ["sh", "-c", `cat >/dev/null\n${script}`],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await child.status;
    },
  };
}
