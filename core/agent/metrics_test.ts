import assert from "node:assert/strict";
import { agentMetrics, Counters, exposition } from "./metrics.ts";

const quiet = { overlay: false, underlay: false, sysctl: false, firewall: false, overrun: false };

Deno.test("exposition() writes what Prometheus reads", () => {
  const text = exposition([
    { name: "a_total", help: "Line one\nand \\ two.", type: "counter", value: 3 },
    {
      name: "b",
      help: "B.",
      type: "gauge",
      value: [[{ k: 'x"y\n\\', l: "z" }, 1.5], [{}, Infinity]],
    },
    { name: "c_total", help: "None yet.", type: "counter", value: [] },
  ]);
  assert.equal(
    text,
    `# HELP a_total Line one\\nand \\\\ two.
# TYPE a_total counter
a_total 3
# HELP b B.
# TYPE b gauge
b{k="x\\"y\\n\\\\",l="z"} 1.5
b +Inf
# HELP c_total None yet.
# TYPE c_total counter
`,
  );
});

Deno.test("Counters counts reconciles by cause, operations, refusals, drift and overruns", () => {
  const counters = new Counters();
  counters.reconciled("store", { operations: 8, failures: [] });
  counters.reconciled("drift", { operations: 1, failures: [] });
  counters.reconciled("drift", { operations: 2, failures: [{} as never] });
  counters.noticed({ ...quiet, overlay: true });
  counters.noticed({ ...quiet, overlay: true, firewall: true, overrun: true });
  const text = exposition(counters.metrics());
  for (
    const line of [
      'knet_reconciles_total{cause="store"} 1',
      'knet_reconciles_total{cause="drift"} 2',
      "knet_operations_total 11",
      "knet_operations_refused_total 1",
      'knet_drift_events_total{what="overlay"} 2',
      'knet_drift_events_total{what="firewall"} 1',
      'knet_drift_events_total{what="sysctl"} 0',
      "knet_overruns_total 1",
      "knet_errors_total 1",
    ]
  ) assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
  assert.match(text, /^knet_last_error_timestamp_seconds 1\d{9}/m);
});

Deno.test("agentMetrics() shows a host without lease and store", () => {
  const metrics = agentMetrics({
    counters: new Counters(),
    ready: false,
    since: 5000,
    membership: {
      health: { state: "away", detail: "" },
      revision: 0,
      renewals: 0,
      own: undefined,
    },
    peers: [],
    entries: [{ kind: "nexthop", present: 0, wanted: 3 }],
    containers: [],
    services: { count: 2, messages: 7, checks: 5 },
  });
  const text = exposition(metrics);
  assert.match(text, /^knet_store_up 0$/m);
  assert.match(text, /^knet_lease_expires_timestamp_seconds 0$/m);
  assert.match(text, /^knet_entries\{kind="nexthop"\} 0$/m);
  assert.match(text, /^knet_entries_wanted\{kind="nexthop"\} 3$/m);
  assert.match(text, /^knet_ipvs_messages_total 7$/m);
  assert.match(text, /^process_start_time_seconds 5$/m);
  const names = metrics.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length, "a family comes once");
  for (const { name, type } of metrics) assert.equal(name.endsWith("_total"), type === "counter");
});
