import assert from "node:assert/strict";
import { sampleLease } from "../../tests/support/samples.ts";
import { giveClock } from "../base/clock.ts";
import { makeCounters, readCounters } from "../overlay/udp/counters.ts";
import { AgentMetrics, type MetricFacts } from "./metrics.ts";

const quiet = {
  overlay: false,
  underlay: false,
  sysctl: false,
  containers: false,
  firewall: false,
  overrun: false,
};

const FACTS: MetricFacts = {
  ready: false,
  membership: {
    health: { state: "away", detail: "" },
    revision: 0,
    renewals: 3,
    own: undefined,
    storeNow: 5000,
  },
  peers: [],
  entries: [
    { kind: "route", present: 1, wanted: 2 },
    { kind: "nexthop", present: 0, wanted: 0 },
  ],
  containers: [{ netns: 'a"b', ifname: "eth0", address: "10.244.1.2", stranded: true }],
  services: { count: 2, messages: 7, checks: 5 },
};

function holds(text: string, ...lines: string[]): void {
  for (const line of lines) assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
}

Deno.test("AgentMetrics counts reconciles by cause, operations, refusals, drift and overruns", async () => {
  const metrics = new AgentMetrics();
  metrics.reconciled("store", { operations: 8, failures: [] }, 30);
  metrics.reconciled("drift", { operations: 1, failures: [] }, 2);
  metrics.reconciled("drift", { operations: 2, failures: [{} as never] }, 4);
  metrics.noticed({ ...quiet, overlay: true });
  metrics.noticed({ ...quiet, overlay: true, firewall: true, overrun: true });
  const text = await metrics.text(FACTS);
  holds(
    text,
    'knet_reconciles_total{cause="store"} 1',
    'knet_reconciles_total{cause="drift"} 2',
    "knet_operations_total 11",
    "knet_operations_refused_total 1",
    'knet_drift_events_total{what="overlay"} 2',
    'knet_drift_events_total{what="firewall"} 1',
    'knet_drift_events_total{what="sysctl"} 0',
    "knet_overruns_total 1",
    "knet_errors_total 1",
    'knet_reconcile_duration_seconds_bucket{le="0.025",cause="store"} 0',
    'knet_reconcile_duration_seconds_bucket{le="0.05",cause="store"} 1',
    'knet_reconcile_duration_seconds_count{cause="drift"} 2',
  );
  assert.match(text, /^knet_last_error_timestamp_seconds 1\d{9}/m);
});

Deno.test("AgentMetrics.text() shows a host without lease and store", async () => {
  const text = await new AgentMetrics(5000).text(FACTS);
  holds(
    text,
    "knet_ready 0",
    "knet_store_up 0",
    "knet_lease_expires_timestamp_seconds 0",
    'knet_entries{kind="nexthop"} 0',
    'knet_entries{kind="route"} 1',
    'knet_entries_wanted{kind="route"} 2',
    "knet_ipvs_messages_total 7",
    "knet_lease_renewals_total 3",
    "knet_containers_stranded 1",
    "knet_errors_total 0",
    "knet_last_error_timestamp_seconds 0",
    "process_start_time_seconds 5",
  );
  assert.match(
    text,
    /^# HELP knet_build_info 1, with the version\.\n# TYPE knet_build_info gauge\n/,
  );
  assert.doesNotMatch(text, /knet_tunnel/);
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type]);
  assert.equal(new Set(types.map(([name]) => name)).size, types.length, "a family comes once");
  for (const [name, type] of types) {
    assert.equal(name!.endsWith("_total"), type === "counter", name);
  }
});

Deno.test("AgentMetrics.text() shows totals as they are now, and the packet loop's where there is one", async () => {
  const metrics = new AgentMetrics();
  await metrics.text(FACTS);
  const counters = makeCounters();
  const text = await metrics.text({
    ...FACTS,
    membership: { ...FACTS.membership, renewals: 4, own: { reserved: true } as never },
    tunnel: { offloads: true, counters: readCounters(counters) },
  });
  holds(
    text,
    "knet_lease_renewals_total 4",
    "knet_lease_expires_timestamp_seconds +Inf",
    'knet_tunnel_packets_total{direction="out"} 0',
  );
  assert.ok(text.endsWith("\n"));
});

Deno.test("AgentMetrics times from the first event to the kernel that follows it", async () => {
  let now = 1000;
  const clock = { monotonic: () => now, wall: () => now, random: () => 0, uuid: () => "" };
  const metrics = new AgentMetrics();
  {
    using _given = giveClock({ ...clock, after: () => ({ cancel() {} }) });
    metrics.heard("store");
    metrics.noticed({ ...quiet, overlay: true, since: 700 });
    now += 40;
    metrics.heard("store");
    metrics.reconciled("drift", { operations: 0, failures: [{} as never] }, 1); // Failed: it goes on.
    now += 20;
    metrics.reconciled("peers", { operations: 2, failures: [] }, 1, ["store"]);
    now += 40;
    metrics.reconciled("drift", { operations: 2, failures: [] }, 1);
    metrics.heard("store");
    metrics.heardNothing("store");
    now += 5000;
    metrics.reconciled("drift", { operations: 0, failures: [] }, 1);
    metrics.storeAsked("renewLease", 3);
  }
  holds(
    await metrics.text(FACTS),
    'knet_event_to_kernel_seconds_sum{source="store"} 0.06',
    'knet_event_to_kernel_seconds_count{source="store"} 1',
    'knet_event_to_kernel_seconds_sum{source="kernel"} 0.4',
    'knet_event_to_kernel_seconds_count{source="kernel"} 1',
    'knet_store_call_duration_seconds_bucket{le="0.005",call="renewLease"} 1',
  );
});

Deno.test("AgentMetrics.text() goes by the store's clock for which leases are expired, not by this host's", async () => {
  const now = Date.now() + 2 * 86_400_000;
  const membership = { ...FACTS.membership, storeNow: now };
  const peers = [sampleLease({ expires: now + 1 }), sampleLease({ expires: now - 1 })];
  const text = await new AgentMetrics().text({ ...FACTS, membership, peers });
  holds(text, "knet_peers_expired 1");
});
