import assert from "node:assert/strict";
import { COUNTERS, makeCounters, readCounters } from "./counters.ts";
import { tunnelDrops } from "./drops.ts";

Deno.test("tunnelDrops() leaves no drop counter out", () => {
  const counters = makeCounters();
  counters.forEach((_, index) => counters[index] = index + 1);
  const dropped = tunnelDrops({ counters: readCounters(counters) });
  const named = dropped.map(([, , count]) => COUNTERS[count - 1]);
  const others = ["sent", "received", "sendCalls", "deliverCalls", "icmp"];
  const drops = COUNTERS.filter((name) => !others.some((other) => name.startsWith(other)));
  assert.deepEqual(named, drops);
});
