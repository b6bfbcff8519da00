/**
 * The agent's metrics: on its socket, by TCP where asked, and true.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { report, until } from "../support/wait.ts";
import { identityOf } from "../support/walk.ts";

const test = labSuite({
  hosts: 2,
  store: "sqlite",
  setUp: async (lab) => {
    const first = lab.host(1);
    first.joinArgs = [...first.joinArgs, "--listen", first.address];
    await startCluster(lab, { containers: 1, init: "--lease-ttl 4" });
  },
});

/** Values by name and labels, as they stand in the text. */
async function metrics(host: Host): Promise<Map<string, number>> {
  const { status, body } = await host.get("/metrics");
  assert.equal(status, 200);
  const values = new Map<string, number>();
  for (const line of body.trim().split("\n")) {
    if (line.startsWith("#")) continue;
    const at = line.lastIndexOf(" ");
    values.set(line.slice(0, at), Number(line.slice(at + 1).replace("+Inf", "Infinity")));
  }
  return values;
}

test("metrics say what the host holds, and count what happens", async (lab) => {
  const host = lab.host(1);
  const before = await metrics(host);
  const expected: Record<string, number> = {
    knet_peers: 1,
    knet_ready: 1,
    knet_store_up: 1,
    knet_store_different: 0,
    knet_containers: 1,
    knet_containers_stranded: 0,
    'knet_entries{kind="route"}': 1,
    'knet_entries{kind="nexthop"}': 1,
    'knet_entries{kind="neighbour"}': 1,
    'knet_entries{kind="fdb"}': 1,
    'knet_entries_wanted{kind="route"}': 1,
    knet_operations_refused_total: 0,
    knet_last_error_timestamp_seconds: 0,
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(before.get(name), value, name);
  assert.ok(before.get("knet_store_revision")! >= 3);
  const now = Date.now() / 1000;
  assert.ok(Math.abs(before.get("knet_lease_expires_timestamp_seconds")! - now) < 60);
  assert.ok(Math.abs(before.get("process_start_time_seconds")! - now) < 600);
  const memory = before.get("process_resident_memory_bytes")!;
  assert.ok(memory > 1e6);
  report(`the agent with one peer has ${Math.round(memory / 2 ** 20)} MiB resident`);

  await host.run(["ip", "route", "del", (await identityOf(lab.host(2))).subnet]);
  await until("the drift is counted, and the lease renewed", async () => {
    const after = await metrics(host);
    const more = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    return more('knet_drift_events_total{what="overlay"}') >= 1 &&
      more('knet_reconciles_total{cause="drift"}') >= 1 && more("knet_operations_total") >= 1 &&
      more("knet_lease_renewals_total") >= 1 &&
      more('knet_reconcile_duration_seconds_count{cause="drift"}') >= 1 &&
      more('knet_event_to_kernel_seconds_count{source="kernel"}') >= 1 &&
      more('knet_store_call_duration_seconds_count{call="renewLease"}') >= 1;
  });
});

test("metrics time how soon the kernel follows a change of the store", async (lab) => {
  const host = lab.host(1);
  const [sum, count] = ["sum", "count"].map((part) =>
    `knet_event_to_kernel_seconds_${part}{source="store"}`
  ) as [string, string];
  const before = await metrics(host);
  await lab.host(2).knet("lease reserve 10.244.77.0/24 --public-ip 192.168.2.77");
  await until("the new peer is timed", async () => {
    const after = await metrics(host);
    const times = (after.get(count) ?? 0) - (before.get(count) ?? 0);
    const seconds = (after.get(sum) ?? 0) - (before.get(sum) ?? 0);
    if (times === 0) return false;
    report(`the kernel followed a change of the store after ${(seconds / times).toFixed(3)} s`);
    assert.ok(seconds / times < 5, `${seconds} s, ${times} times`);
    return true;
  });
});

test("metrics are served by TCP where --listen says so, on port 9472 by default; stop is not", async (lab) => {
  const [near, far] = lab.hosts;
  const url = `http://${near!.address}:9472`;
  const ask = (host: Host, method: string, path: string) =>
    host.run([
      Deno.execPath(),
      "eval",
      `const r = await fetch("${url}${path}", { method: "${method}" });
       console.log(r.status, r.headers.get("content-type"), (await r.text()).slice(0, 40))`,
    ]);
  const { stdout } = await ask(far!, "GET", "/metrics");
  assert.match(stdout, /^200 text\/plain; version=0\.0\.4.* # HELP knet_build_info/);
  assert.match((await ask(far!, "POST", "/stop")).stdout, /^405/);
});
