/**
 * Draining on this host: which real servers have no connections left here, or no time.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";
import {
  type Connections,
  type Destination,
  realServerKey,
  type Service,
} from "../services/service.ts";

/** A drain as it is kept across restarts: service, real server, deadline on the store's clock. */
export type FinishedDrain = readonly [service: string, realServer: string, deadline: number];

interface Drain {
  readonly service: string;
  readonly realServer: string;
  readonly deadline: number;
  /** On the monotonic clock. */
  readonly began: number;
  /** On the monotonic clock; `Infinity` until the store has said what time it is. */
  readonly over: number;
  finished: boolean;
}

/**
 * A connection that was being made when the weight became 0 may not be counted yet: what is seen before so many milliseconds
 * proves nothing.
 */
const SETTLE = 1000;

/** Follows the drains of this host. */
export class Drains {
  readonly #drains = new Map<string, Drain>();
  readonly #finishedBefore: ReadonlySet<string>;

  /** @param finished What {@linkcode finished} returned in an earlier life. */
  constructor(finished: readonly FinishedDrain[] = []) {
    this.#finishedBefore = new Set(finished.map((one) => one.join(" ")));
  }

  /** Whether there is a drain that has not ended. */
  get pending(): boolean {
    return this.next !== undefined;
  }

  /** When the next one runs out of time, on the monotonic clock. */
  get next(): number | undefined {
    let next: number | undefined;
    for (const { finished, over } of this.#drains.values()) {
      if (!finished) next = Math.min(next ?? Infinity, over);
    }
    return next;
  }

  /** Drains that have ended and whose destinations the store still has. */
  get finished(): FinishedDrain[] {
    return [...this.#drains.values()].filter(({ finished }) => finished)
      .map(({ service, realServer, deadline }) => [service, realServer, deadline] as const);
  }

  /**
   * Takes a service as the store has it now.
   *
   * @param now The store's clock, milliseconds since the epoch. Undefined while it is not known: a drain then ends by its
   * connections alone, because this host's clock may be ahead, and what was cut off does not come back.
   */
  set(service: Service, now: number | undefined): void {
    const keys = new Set<string>();
    for (const one of service.destinations) {
      if (one.draining === undefined) continue;
      const { deadline } = one.draining;
      const key = keyOf(service, one);
      keys.add(key);
      const known = this.#drains.get(key);
      const same = known?.deadline === deadline ? known : undefined;
      if (same?.finished) continue;
      const realServer = realServerKey(one);
      // A deadline that is no number never comes: the drain then ends by its connections alone, too.
      const left = now === undefined || Number.isNaN(deadline) ? Infinity : deadline - now;
      this.#drains.set(key, {
        service: service.name,
        realServer,
        deadline,
        began: same?.began ?? monotonicClock(),
        over: monotonicClock() + left,
        finished: left <= 0 ||
          this.#finishedBefore.has([service.name, realServer, deadline].join(" ")),
      });
    }
    this.#forget(service.name, keys);
  }

  /** Forgets a service that is gone. */
  remove(name: string): void {
    this.#forget(name, new Set());
  }

  #forget(name: string, but: ReadonlySet<string>): void {
    for (const [key, drain] of this.#drains) {
      if (drain.service === name && !but.has(key)) this.#drains.delete(key);
    }
  }

  /** Whether a draining destination has ended here. */
  isFinished(service: Service, one: Destination): boolean {
    return this.#drains.get(keyOf(service, one))?.finished ?? false;
  }

  /**
   * Ends drains whose time is over, and those without connections where these were counted.
   *
   * @param count Connections of a service's real server; undefined if the kernel has no such real server.
   * @returns Names of services with a drain that ended now.
   */
  advance(
    count?: (service: string, realServer: string) => Connections | undefined,
  ): string[] {
    const now = monotonicClock();
    const ended = new Set<string>();
    for (const drain of this.#drains.values()) {
      if (drain.finished) continue;
      if (now < drain.over) {
        if (count === undefined || now - drain.began < SETTLE) continue;
        const connections = count(drain.service, drain.realServer);
        if (connections !== undefined && connections.active + connections.inactive > 0) continue;
      }
      drain.finished = true;
      ended.add(drain.service);
    }
    return [...ended];
  }
}

const keyOf = (service: Service, one: Destination) => `${service.name} ${realServerKey(one)}`;
