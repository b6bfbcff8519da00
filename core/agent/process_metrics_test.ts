import assert from "node:assert/strict";
import { Registry } from "./prom.ts";
import { mostOpenFiles, processorSeconds, registerProcessMetrics } from "./process_metrics.ts";

Deno.test("processorSeconds() reads a program's times, whatever its name", () => {
  const stat = "7 (a ) 1 2) b) S 1 7 7 0 -1 4194560 95 0 0 0 250 31 0 0 20 0 1 0 99";
  assert.deepEqual(processorSeconds(stat), { user: 2.5, system: 0.31 });
});

Deno.test("mostOpenFiles() reads the soft limit", () => {
  const limits =
    "Max processes   1   2   processes\nMax open files            1024                 4096                 files\n";
  assert.equal(mostOpenFiles(limits), 1024);
  assert.equal(mostOpenFiles("Max open files  unlimited  unlimited  files\n"), Infinity);
});

Deno.test("registerProcessMetrics() tells what this process takes", async () => {
  const registry = new Registry();
  registerProcessMetrics(registry, 5000);
  const before = await registry.metrics();
  const value = (name: string, text: string) =>
    Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  assert.equal(value("process_start_time_seconds", before), 5);
  assert.ok(value("process_resident_memory_bytes", before) > 1e6);
  assert.ok(value("process_cpu_seconds_total", before) > 0);
  assert.ok(value("process_max_fds", before) >= value("process_open_fds", before));
  assert.ok(value("knet_event_loop_lag_seconds", before) < 5);
  using _file = await Deno.open("/dev/null");
  const after = await registry.metrics();
  const more = value("process_open_fds", after) - value("process_open_fds", before);
  assert.ok(more >= 1, `${more}`);
});
