/**
 * Makes `dist/knet` for the tests that run against the binary.
 *
 * @module
 */
import { exec } from "./exec.ts";
import type { Tally } from "./tally.ts";

/**
 * Compiles with this Deno. Where its runtime cannot be downloaded and a `denort` of another version is
 * at hand (see ../shared/tools/denort), that version compiles.
 */
export async function compileBinary(root: string): Promise<Tally> {
  const failures: string[] = [];
  for (const way of [denortTool, thisDeno]) {
    const line = await way(root);
    if (line === undefined) continue;
    const outcome = await exec(line.words, { env: line.env, check: false, timeout: 300_000 });
    console.log((outcome.stdout + outcome.stderr).trimEnd());
    if (outcome.code === 0) {
      console.log("compile ... ok");
      return { passed: 1, failed: 0, skipped: 0, notes: [] };
    }
    failures.push(`${line.words.join(" ")}: exit status ${outcome.code}`);
  }
  return { passed: 0, failed: 1, skipped: 0, notes: [`FAILED compile: ${failures.join("; ")}`] };
}

interface CompileLine {
  readonly words: string[];
  readonly env: Record<string, string>;
}

/** A denort works only with the very Deno that it came with. */
const DENORT_VERSION = "2.4.2";

async function denortTool(root: string): Promise<CompileLine | undefined> {
  let denort = Deno.env.get("DENORT_BIN");
  if (denort === undefined) {
    const outcome = await exec(`${root}../shared/tools/denort`, { check: false, timeout: 300_000 })
      .catch(() => undefined);
    if (outcome?.code !== 0) return undefined;
    denort = outcome.stdout.trim();
  }
  return {
    words: ["npx", "-y", `deno@${DENORT_VERSION}`, "task", "compile"],
    env: { DENORT_BIN: denort },
  };
}

function thisDeno(): Promise<CompileLine> {
  return Promise.resolve({ words: [Deno.execPath(), "task", "compile"], env: {} });
}
