/**
 * Several ways to one end, tried one after the other without waiting long for any (as RFC 8305 does for addresses). Pure but for time.
 *
 * @module
 */
import { after } from "./clock.ts";

/**
 * The first that succeeds. The next one is tried when the one before has failed, or after a while.
 *
 * @param stagger Milliseconds.
 * @param discard Takes what came of one that was too late.
 * @throws {AggregateError} with all errors in the order of the ways, if none succeeds.
 */
export function firstOf<T>(
  ways: readonly (() => Promise<T>)[],
  stagger: number,
  discard: (late: T) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const errors: unknown[] = [];
    let begun = 0, failed = 0, won = false;
    let timer: { cancel(): void } | undefined;
    const next = () => {
      timer?.cancel();
      if (won || begun === ways.length) return;
      const at = begun++;
      if (begun < ways.length) timer = after(stagger, next);
      ways[at]!().then((result) => {
        if (won) return discard(result);
        won = true;
        timer?.cancel();
        resolve(result);
      }, (error) => {
        errors[at] = error;
        if (++failed === ways.length && !won) reject(new AggregateError(errors));
        else next();
      });
    };
    if (ways.length === 0) reject(new AggregateError([]));
    else next();
  });
}
