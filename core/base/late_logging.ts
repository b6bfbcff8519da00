/**
 * Logging that is set up when there is something to log: a short command hardly ever has, and setting it up costs more than its work.
 *
 * @module
 */

let begin: (() => Promise<void>) | undefined;

/** Says how logging is set up, should it come to that. */
export function logLater(setUp: () => Promise<void>): void {
  begin = setUp;
}

/** To be awaited before a first line is logged where a short command may be. */
export async function loggingBegun(): Promise<void> {
  const setUp = begin;
  begin = undefined;
  await setUp?.();
}
