/**
 * Checks the types of the whole tree, and makes `dist/knet` for the tests that run against the binary.
 *
 * @module
 */
import { exec } from "./exec.ts";
import type { Tally } from "./tally.ts";

/** Compiles as `deno task compile` does; a binary of before does not outlive a failure. */
export async function compileBinary(root: string): Promise<Tally> {
  const binary = `${root}dist/knet`;
  await Deno.remove(binary).catch(() => {});
  const line = [Deno.execPath(), "run", "-A", `${root}dist/compile.ts`];
  const outcome = await exec(line, {
    check: false,
    env: { NO_COLOR: "1" },
    timeout: 600_000,
  });
  console.log((outcome.stdout + outcome.stderr).trimEnd());
  if (outcome.code === 0) {
    console.log("compile ... ok");
    return { passed: 1, failed: 0, skipped: 0, notes: [] };
  }
  const said = outcome.stderr.trim().replace(/\s*\n\s*/g, " ").slice(0, 300);
  const reason = said || `exit status ${outcome.code}`;
  return { passed: 0, failed: 1, skipped: 0, notes: [`FAILED compile: ${reason}`] };
}

/** Checks the types of everything, tests included; one test that passes or fails. */
export async function checkTypes(root: string): Promise<Tally> {
  const outcome = await exec([Deno.execPath(), "check", "--quiet", root], {
    check: false,
    env: { NO_COLOR: "1" },
    timeout: 600_000,
  });
  if (outcome.code === 0) {
    console.log("types ... ok");
    return { passed: 1, failed: 0, skipped: 0, notes: [] };
  }
  console.log((outcome.stdout + outcome.stderr).trimEnd());
  return { passed: 0, failed: 1, skipped: 0, notes: ["FAILED types: see deno check"] };
}
