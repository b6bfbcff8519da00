/**
 * A host whose clock is wrong, by libfaketime.
 *
 * @module
 */

const DIRECTORY = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime`;

const PRELOADED = {
  LD_PRELOAD: `${DIRECTORY}/libfaketimeMT.so.1`,
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
};

/**
 * Environment of a process whose wall clock is off, `+1d` or `-1d`; its monotonic clock is right.
 *
 * The library itself, not the program `faketime`: that stays between us and the process, and keeps signals to itself.
 */
export function faketime(shift: string): Record<string, string> {
  return { ...PRELOADED, FAKETIME: shift };
}

/** The same by a file that says how far it is off, `+5`, and may say otherwise while the process runs. */
export function faketimeBy(file: string): Record<string, string> {
  return { ...PRELOADED, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_CACHE_DURATION: "1" };
}
