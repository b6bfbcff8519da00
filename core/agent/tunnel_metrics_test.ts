import assert from "node:assert/strict";
import { COUNTERS, makeCounters, readCounters } from "../overlay/udp/counters.ts";
import { exposition } from "./metrics.ts";
import { tunnelDrops, tunnelMetrics } from "./tunnel_metrics.ts";

/** Counters of which each has another value. */
function tunnel() {
  const counters = makeCounters();
  counters.forEach((_, index) => counters[index] = index + 1);
  return { offloads: true, counters: readCounters(counters) };
}

Deno.test("tunnelMetrics() leaves no drop counter out", () => {
  const named = tunnelDrops(tunnel()).map(([, , count]) => COUNTERS[count - 1]);
  const others = ["sent", "received", "sendCalls", "deliverCalls", "icmp"];
  const drops = COUNTERS.filter((name) => !others.some((other) => name.startsWith(other)));
  assert.deepEqual(named, drops);
});

Deno.test("tunnelMetrics() are in Prometheus' form, and none without a packet loop", () => {
  assert.deepEqual(tunnelMetrics(undefined), []);
  const text = exposition(tunnelMetrics(tunnel()));
  assert.match(text, /^knet_tunnel_packets_total\{direction="out"\} 1$/m);
  assert.match(text, /^knet_tunnel_bytes_total\{direction="in"\} 4$/m);
  assert.match(text, /^knet_tunnel_dropped_total\{direction="in",reason="spoofed"\} 14$/m);
});
