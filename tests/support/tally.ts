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

/** The tally of tests that could not begin: one failure, with its reason. */
export function couldNotStart(what: string, reason: unknown): Tally {
  const text = reason instanceof Error ? reason.message : `${reason}`;
  const [first = ""] = text.trim().split("\n");
  return { passed: 0, failed: 1, skipped: 0, notes: [`FAILED ${what} could not start: ${first}`] };
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
 * that fails without a failed test (a module that does not load) counts as one failure, whose reason is
 * the last error that was printed.
 */
export function tallyOf(lines: readonly string[], code: number): Tally {
  const notes: string[] = [];
  let passed = 0, failed = 0, ignored = 0, skipped = 0;
  let error = "see above";
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
    } else if (line.startsWith("error: ")) {
      error = line.slice("error: ".length);
    } else if (line.startsWith("report: ")) {
      notes.push(line);
    } else if (/ \.\.\. FAILED \(/.test(line) && !line.startsWith(" ")) {
      notes.push(`FAILED ${line.split(" ... ")[0]}`);
    }
  }
  if (code !== 0 && failed === 0) {
    failed = 1;
    notes.push(`FAILED a test module did not load: ${error}`);
  }
  return { passed: Math.max(0, passed - skipped), failed, skipped: skipped + ignored, notes };
}

/** Runs `deno test` with these arguments, passing its output on as it comes, or as one piece at its end. */
export async function runTests(
  args: readonly string[],
  options: readonly string[] = [],
  env: Record<string, string> = {},
  atEnd = false,
): Promise<Tally> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--permit-no-files", ...options, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kept: (() => void)[] = [];
  const say = (to: typeof Deno.stdout | typeof Deno.stderr) => (bytes: Uint8Array) => {
    if (atEnd) kept.push(() => to.writeSync(bytes));
    else to.writeSync(bytes);
  };
  const [lines, errors] = await Promise.all([
    passOn(child.stdout, say(Deno.stdout)),
    passOn(child.stderr, say(Deno.stderr)),
  ]);
  for (const write of kept) write();
  return tallyOf([...lines, ...errors], (await child.status).code);
}

/** Hands a stream's text on as it comes; returns its lines. */
async function passOn(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  write: (bytes: Uint8Array) => void,
): Promise<string[]> {
  const encoder = new TextEncoder();
  let all = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    write(encoder.encode(text));
    all += text;
  }
  return all.split("\n");
}
