/**
 * The packet loop's counters as metrics.
 *
 * @module
 */
import type { CounterName } from "../overlay/udp/counters.ts";
import type { TunnelStatus } from "../overlay/udp/data_plane.ts";
import type { Metric, Sample } from "./metrics.ts";

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
export function tunnelDrops({ counters }: TunnelStatus): [string, string, number][] {
  return DROPS.map(([name, direction, reason]) => [direction, reason, counters[name]]);
}

/** Metrics of the packet loop, none where there is none. */
export function tunnelMetrics(tunnel: TunnelStatus | undefined): Metric[] {
  if (tunnel === undefined) return [];
  const { counters } = tunnel;
  const counter = (name: string, help: string, value: Metric["value"]): Metric => ({
    name: `knet_tunnel_${name}_total`,
    help,
    type: "counter",
    value,
  });
  const both = (out: number, back: number): Sample[] => [
    [{ direction: "out" }, out],
    [{ direction: "in" }, back],
  ];
  return [
    counter(
      "packets",
      "Packets that the packet loop passed on.",
      both(counters.sentPackets, counters.receivedPackets),
    ),
    counter("bytes", "Their bytes.", both(counters.sentBytes, counters.receivedBytes)),
    counter(
      "calls",
      "System calls that this took, each for one bundle or more.",
      both(counters.sendCalls, counters.deliverCalls),
    ),
    counter(
      "dropped",
      "Packets that the packet loop dropped.",
      tunnelDrops(tunnel).map(([direction, reason, count]) => [{ direction, reason }, count]),
    ),
    counter("icmp_sent", "ICMP errors sent to the senders of dropped packets.", counters.icmpSent),
  ];
}
