/**
 * The one place that reads clocks, sets timers and asks for chance. All three can be given, together: a simulation then decides when
 * it is and what happens by chance.
 *
 * @module
 */

/** A call that is to come. */
export interface Timer {
  /** Calls it off. Doing it twice, or too late, does no harm. */
  cancel(): void;
}

/** Time and chance. */
export interface Clock {
  /** This host's wall clock, milliseconds since the epoch. */
  wall(): number;
  /** Milliseconds on a clock that only goes forwards; its zero means nothing. */
  monotonic(): number;
  /**
   * Calls back once.
   *
   * @param milliseconds From now, at least 0.
   * @param idle The program may end before.
   */
  after(milliseconds: number, call: () => void, idle: boolean): Timer;
  /** A number from 0 up to 1, without 1. */
  random(): number;
  /** An identity that nobody else has (RFC 9562, version 4). */
  uuid(): string;
}

/** The longest that a timer of the runtime waits, milliseconds; a longer one would end at once. */
const LONGEST = 2 ** 31 - 1;

const hosts: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after: (milliseconds, call, idle) => {
    const id = setTimeout(call, milliseconds);
    if (idle) Deno.unrefTimer(id);
    return { cancel: () => clearTimeout(id) };
  },
  random: () => Math.random(),
  uuid: () => crypto.randomUUID(),
};

let current: Clock = hosts;

/** Gives all of this program another clock, until what is returned is disposed of. */
export function giveClock(clock: Clock): Disposable {
  const before = current;
  current = clock;
  return {
    [Symbol.dispose]() {
      current = before;
    },
  };
}

/** This host's wall clock, milliseconds since the epoch. */
export function wallClock(): number {
  return current.wall();
}

/** Milliseconds on a clock that only goes forwards; its zero means nothing. */
export function monotonicClock(): number {
  return current.monotonic();
}

/**
 * Calls back once.
 *
 * @param milliseconds From now. Less than none is none; what is more than 24 days away comes then, so who waits so long looks again.
 * @param options.idle The program may end before.
 */
export function after(
  milliseconds: number,
  call: () => void,
  options: { readonly idle?: boolean } = {},
): Timer {
  const wait = Math.min(Math.max(milliseconds, 0), LONGEST);
  return current.after(wait, call, options.idle ?? false);
}

/** Waits so many milliseconds, or until the signal. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = after(milliseconds, () => done());
    const done = () => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    signal?.addEventListener("abort", done);
  });
}

/** A number from 0 up to 1, without 1; for jitter, never for secrets. */
export function random(): number {
  return current.random();
}

/** An identity that nobody else has (RFC 9562, version 4). */
export function randomId(): string {
  return current.uuid();
}
