/**
 * What the packet loop dropped, in words.
 *
 * @module
 */
import type { CounterName } from "./counters.ts";

/** What a packet was dropped for, by counter: which way it went, and the reason. */
const DROPS: readonly (readonly [CounterName, "out" | "in", string])[] = [
  ["outMalformed", "out", "malformed"],
  ["outNoPeer", "out", "no_peer"],
  ["outExpired", "out", "ttl_expired"],
  ["outTooBig", "out", "too_big"],
  ["outRefused", "out", "refused"],
  ["inUnknownPeer", "in", "unknown_peer"],
  ["inMalformed", "in", "malformed"],
  ["inSpoofed", "in", "spoofed"],
  ["inNotOurs", "in", "not_ours"],
  ["inTooBig", "in", "too_big"],
  ["inRefused", "in", "refused"],
];

/** Packets dropped: `[direction, reason, count]`, zeros too. */
export function tunnelDrops(
  { counters }: { readonly counters: Readonly<Record<CounterName, number>> },
): [string, string, number][] {
  return DROPS.map(([name, direction, reason]) => [direction, reason, counters[name]]);
}
