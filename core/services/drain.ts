/**
 * Draining in the store: a real server that is taken out keeps its connections for a while.
 *
 * @module
 */
import type { Destination, Service } from "./service.ts";

/**
 * A destination that leaves its service now: with a deadline, or undefined if it goes at once. Datagrams belong to no connection
 * that would have an end, so udp never waits.
 *
 * @param timeout Seconds.
 * @param now Milliseconds since the epoch on the store's clock.
 */
export function drained(
  service: Service,
  one: Destination,
  timeout: number,
  now: number,
): Destination | undefined {
  if (service.protocol === "udp" || timeout === 0) return undefined;
  return { ...one, draining: { deadline: now + timeout * 1000 } };
}
