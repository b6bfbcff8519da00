/**
 * A host whose clock is wrong, by libfaketime.
 *
 * @module
 */

const DIRECTORY = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime`;

/**
 * Environment of a process whose wall clock is off, `+1d` or `-1d`; its monotonic clock is right.
 *
 * The library itself, not the program `faketime`: that stays between us and the process, and keeps signals to itself.
 */
export function faketime(shift: string): Record<string, string> {
  return {
    LD_PRELOAD: `${DIRECTORY}/libfaketimeMT.so.1`,
    FAKETIME: shift,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}
