/**
 * What a command costs: processor time and the most memory that it had resident.
 *
 * @module
 */

/** A binary that is measured. */
export interface Program {
  readonly name: string;
  readonly path: string;
}

/** What one run took. */
export interface Cost {
  /** User and system time in milliseconds. */
  readonly processor: number;
  /** MiB. */
  readonly resident: number;
}

const libc = Deno.dlopen("libc.so.6", {
  // int getrusage(int who, struct rusage *usage)
  getrusage: { parameters: ["i32", "buffer"], result: "i32" },
});

/** sys/resource.h */
const RUSAGE_CHILDREN = -1;
/** Bytes of struct rusage: two timevals and 14 longs. */
const RUSAGE_SIZE = 144;

/** Processor time of all children so far that have ended, in milliseconds. */
export function childrenMs(): number {
  const usage = new BigInt64Array(RUSAGE_SIZE / 8);
  if (libc.symbols.getrusage(RUSAGE_CHILDREN, usage) !== 0) throw new Error("Cannot get rusage");
  const [user, userMicros, system, systemMicros] = [...usage].map(Number) as number[];
  return (user! + system!) * 1000 + (userMicros! + systemMicros!) / 1000;
}

/**
 * Runs a program to its end; time(1) in between tells of its memory, and adds less than a millisecond.
 *
 * @throws {Error} if it fails.
 */
export function runMeasured(
  { path }: Program,
  args: readonly string[],
  env: Record<string, string> = {},
): Cost {
  const before = childrenMs();
  const { success, stderr } = new Deno.Command("/usr/bin/time", {
    args: ["-q", "-f", "%M", path, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  const said = new TextDecoder().decode(stderr).trimEnd();
  if (!success) throw new Error(`${path} ${args.join(" ")}: ${said}`);
  return {
    processor: childrenMs() - before,
    resident: Number(said.split("\n").at(-1)) / 1024,
  };
}
