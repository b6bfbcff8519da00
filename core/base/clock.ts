/**
 * The one place that reads the clock.
 *
 * @module
 */

/** This host's wall clock, milliseconds since the epoch. */
export function wallClock(): number {
  return Date.now();
}

/** Milliseconds on a clock that only goes forwards; its zero means nothing. */
export function monotonicClock(): number {
  return performance.now();
}
