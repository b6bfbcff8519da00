/**
 * Running `deno test` and counting what it says.
 *
 * @module
 */

/** Counts of a run, and the lines worth repeating at its end (`report:`, `SKIPPED`, failures). */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly notes: readonly string[];
}

/** Sum of two tallies. */
export function addTally(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    notes: [...a.notes, ...b.notes],
  };
}

const COLOURS = new RegExp(String.raw`\u001b\[[0-9;]*m`, "g");

/**
 * Counts the lines of one `deno test`.
 *
 * A test that prints a SKIPPED line ends as passed for Deno; it is counted as skipped instead. A run
 * that fails without a failed test (a module that does not load) counts as one failure.
 */
export function tallyOf(lines: readonly string[], code: number): Tally {
  const notes: string[] = [];
  let passed = 0, failed = 0, ignored = 0, skipped = 0;
  for (const coloured of lines) {
    const line = coloured.replaceAll(COLOURS, "");
    const summary = /^(?:ok|FAILED) \| (\d+) passed.*?\| (\d+) failed/.exec(line);
    if (summary !== null) {
      passed += Number(summary[1]);
      failed += Number(summary[2]);
      ignored += Number(/(\d+) ignored/.exec(line)?.[1] ?? 0);
    } else if (line.startsWith("SKIPPED ")) {
      skipped++;
      notes.push(line);
    } else if (line.startsWith("report: ")) {
      notes.push(line);
    } else if (/ \.\.\. FAILED \(/.test(line) && !line.startsWith(" ")) {
      notes.push(`FAILED ${line.split(" ... ")[0]}`);
    }
  }
  if (code !== 0 && failed === 0) {
    failed = 1;
    notes.push("FAILED a test module did not load, see above");
  }
  return { passed: Math.max(0, passed - skipped), failed, skipped: skipped + ignored, notes };
}

/** Runs `deno test` with these arguments, passing its output on as it comes. */
export async function runTests(
  args: readonly string[],
  options: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Tally> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--permit-no-files", ...options, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines: string[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(text));
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  }
  if (rest !== "") lines.push(rest);
  return tallyOf(lines, (await child.status).code);
}
