/**
 * Sleeping that can be cut short.
 *
 * @module
 */
import { after, random } from "../base/clock.ts";

/** One sleeper, any number of wakers. A call of `notify` while nobody sleeps shortens the next sleep to nothing. */
export class Wake {
  #pending = false;
  #resolve: (() => void) | undefined;

  /** Ends the sleep. */
  notify(): void {
    this.#pending = true;
    this.#resolve?.();
  }

  /**
   * Sleeps until `notify`, the end of the time, or the abort.
   *
   * @param milliseconds At most so long.
   */
  async sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (!this.#pending && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = after(milliseconds, () => done());
        const done = () => {
          timer.cancel();
          signal.removeEventListener("abort", done);
          this.#resolve = undefined;
          resolve();
        };
        this.#resolve = done;
        signal.addEventListener("abort", done, { once: true });
      });
      this.#resolve = undefined;
    }
    this.#pending = false;
  }
}

/**
 * Time to wait before the next try: doubled each time, with jitter so that a cluster does not come back in step.
 *
 * @param attempt 0 for the first failure.
 * @returns Milliseconds between half and the whole of 250 · 2^attempt, at most `limit`.
 */
export function backoff(attempt: number, limit = 4000): number {
  const whole = Math.min(250 * 2 ** Math.min(attempt, 16), limit);
  return whole * (0.5 + random() / 2);
}
