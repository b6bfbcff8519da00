/**
 * Asking for a garbage collection. V8 collects when a program allocates, and a program that waits does not: left alone, it keeps
 * for weeks what one busy second took.
 *
 * @module
 */

/** V8's own collector, there if the program was compiled or started with `--expose-gc`. */
type Collect = (options: { type: "major"; flavor: "last-resort" }) => void;

/** Collects this thread's garbage now, if the runtime lets us; takes some ten milliseconds. */
export function collectGarbage(): void {
  (globalThis as { gc?: Collect }).gc?.({ type: "major", flavor: "last-resort" });
}
