/**
 * Waiting with a deadline, and the `report:` lines with measured times.
 *
 * @module
 */

/** Milliseconds that every wait of the suite may take at most (acceptance: only this is asserted). */
export const DEADLINE = 10_000 * Number(Deno.env.get("KNET_TEST_SLOWNESS") ?? 1);

/** Resolves after some milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Calls `probe` again and again until it neither throws nor returns `false` or `undefined`.
 *
 * @returns what it returned, and the milliseconds since the call.
 * @throws {Error} with the last failure after the deadline.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: { deadline?: number; interval?: number } = {},
): Promise<{ value: Exclude<T, false | undefined>; ms: number }> {
  const start = performance.now();
  const deadline = options.deadline ?? DEADLINE;
  let last: unknown = "not yet";
  while (true) {
    try {
      const value = await probe();
      if (value !== false && value !== undefined) {
        return { value: value as Exclude<T, false | undefined>, ms: performance.now() - start };
      }
    } catch (error) {
      last = error;
    }
    if (performance.now() - start > deadline) {
      const why = last instanceof Error ? last.message : String(last);
      throw new Error(`Not within ${deadline} ms: ${what}: ${why}`, { cause: last });
    }
    await sleep(options.interval ?? 20);
  }
}

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return NaN;
  return sorted.length % 2 === 1
    ? sorted[middle] ?? NaN
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** Prints a line that `tests/run.ts` gathers at the end of its output. */
export function report(text: string): void {
  console.log(`report: ${text}`);
}

/** Milliseconds as people read them. */
export function ms(value: number): string {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}
