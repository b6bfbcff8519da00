import assert from "node:assert/strict";
import { makeCounters, readCounters } from "../overlay/udp/counters.ts";
import { tunnelMetrics } from "./tunnel_metrics.ts";

Deno.test("tunnelMetrics() are in Prometheus' form", async () => {
  const counters = makeCounters();
  counters.forEach((_, index) => counters[index] = index + 1); // Each another value.
  const text = await tunnelMetrics({ offloads: true, counters: readCounters(counters) });
  assert.match(text, /^# TYPE knet_tunnel_packets_total counter$/m);
  assert.match(text, /^knet_tunnel_packets_total\{direction="out"\} 1$/m);
  assert.match(text, /^knet_tunnel_bytes_total\{direction="in"\} 4$/m);
  assert.match(text, /^knet_tunnel_dropped_total\{direction="in",reason="spoofed"\} 14$/m);
  assert.match(text, /^knet_tunnel_icmp_sent_total \d+$/m);
});
