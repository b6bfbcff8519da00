/**
 * What a command pays before it does anything: `knet --version` against an empty program compiled the same way.
 *
 * @module
 */
import { compiler } from "../../dist/compile.ts";
import { exec } from "../support/exec.ts";
import { median } from "../support/wait.ts";

/** Milliseconds from exec to exit; medians of runs in turn. */
export interface StartupResult {
  readonly version: number;
  readonly empty: number;
  readonly runs: Record<string, readonly number[]>;
}

/** Measures; needs the compiled binary. */
export async function measureStartup(binary: string, runs: number): Promise<StartupResult> {
  const folder = await Deno.makeTempDir({ prefix: "knet-bench-" });
  try {
    const empty = await compileEmpty(folder);
    const times = { version: [] as number[], empty: [] as number[] };
    for (let run = 0; run <= runs; run++) {
      const pair = [
        () => times.version.push(timed(binary, ["--version"])),
        () => times.empty.push(timed(empty, [])),
      ];
      for (const one of run % 2 ? pair : pair.toReversed()) one();
      if (run === 0) times.version.length = times.empty.length = 0;
    }
    return { version: median(times.version), empty: median(times.empty), runs: times };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Compiles a program that does nothing, with the same runtime; returns its path. */
export async function compileEmpty(folder: string): Promise<string> {
  const source = `${folder}/empty.ts`;
  const empty = `${folder}/empty`;
  await Deno.writeTextFile(source, "");
  const { command, env } = compiler();
  await exec([...command, "compile", "--no-check", "--no-code-cache", "-o", empty, source], {
    env,
    timeout: 300_000,
  });
  return empty;
}

function timed(program: string, args: string[]): number {
  const start = performance.now();
  const { success } = new Deno.Command(program, { args }).outputSync();
  const took = performance.now() - start;
  if (!success) throw new Error(`${program} ${args.join(" ")} failed`);
  return took;
}
