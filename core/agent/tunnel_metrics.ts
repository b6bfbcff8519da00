/**
 * The packet loop's counters as metrics.
 *
 * @module
 */
import type { TunnelStatus } from "../overlay/udp/data_plane.ts";
import { tunnelDrops } from "../overlay/udp/drops.ts";
import { Counter, Registry } from "./prom.ts";

/** Metrics of the packet loop in Prometheus' text format. */
export async function tunnelMetrics({ counters }: TunnelStatus): Promise<string> {
  const registry = new Registry();
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `knet_tunnel_${name}_total`, help, labelNames, registers: [registry] });
  const both = (of: Counter, out: number, back: number) => {
    of.inc({ direction: "out" }, out);
    of.inc({ direction: "in" }, back);
  };
  both(
    counter("packets", "Packets that the packet loop passed on.", "direction"),
    counters.sentPackets,
    counters.receivedPackets,
  );
  both(
    counter("bytes", "Their bytes.", "direction"),
    counters.sentBytes,
    counters.receivedBytes,
  );
  both(
    counter("calls", "System calls that this took, each for one bundle or more.", "direction"),
    counters.sendCalls,
    counters.deliverCalls,
  );
  const dropped = counter(
    "dropped",
    "Packets that the packet loop dropped.",
    "direction",
    "reason",
  );
  for (const [direction, reason, count] of tunnelDrops({ counters })) {
    dropped.inc({ direction, reason }, count);
  }
  counter("icmp_sent", "ICMP errors sent to the senders of dropped packets.")
    .inc(counters.icmpSent);
  return await registry.metrics();
}
