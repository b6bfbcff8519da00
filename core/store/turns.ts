/**
 * One call after the other on a connection, until the store is closed.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { StoreAwayError } from "../base/error.ts";

/** Milliseconds that the call under way has to come to its end when the store is closed. */
const GRACE = 1000;

/** The calls of one store: whoever closes it waits for the one under way, and not for long. */
export class Turns {
  readonly #what: string;
  #last: Promise<unknown> = Promise.resolve();
  #ended = false;

  /** @param what What messages call the store. */
  constructor(what: string) {
    this.#what = what;
  }

  /** Whether the store was closed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Does something when all that was asked for before is done. @throws {StoreAwayError} if the store was closed meanwhile. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      this.check();
      return work();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** @throws {StoreAwayError} if the store was closed. */
  check(): void {
    if (this.#ended) throw new StoreAwayError(`Cannot use the ${this.#what}: it was closed`);
  }

  /** Refuses all that has not begun. What is under way after that is lost with its connection, which the caller closes. */
  async end(): Promise<void> {
    this.#ended = true;
    const late = new AbortController();
    await Promise.race([this.#last, sleep(GRACE, late.signal)]);
    late.abort();
  }
}
