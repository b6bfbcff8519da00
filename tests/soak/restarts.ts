/**
 * Postgres is stopped and started again and again under agents: `deno task soak:restarts [--times N] [--hosts H]`, 500 and 8 without.
 *
 * No agent ends, every one has the store again after each start, and none keeps descriptors or memory.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setUp } from "../setup.ts";
import { startCluster } from "../support/cluster.ts";
import type { Host } from "../support/host.ts";
import { Lab } from "../support/lab.ts";
import { storeIs } from "../support/status.ts";
import { median } from "../support/wait.ts";

function option(name: string, otherwise: number): number {
  const at = Deno.args.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(Deno.args[at + 1]);
  if (!Number.isInteger(value) || value < 1) {
    console.error("usage: deno task soak:restarts [--times N] [--hosts H]");
    Deno.exit(2);
  }
  return value;
}

const times = option("times", 500);
const hosts = option("hosts", 8);
await setUp("test");
await using lab = await Lab.create({ hosts, store: "postgres" });
await startCluster(lab);

/** What an agent holds: open descriptors, and resident size in MiB. */
async function holds(host: Host): Promise<{ descriptors: number; resident: number }> {
  const pid = host.agent!.pid;
  const descriptors = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return { descriptors, resident: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024 };
}

const back: number[] = [];
const samples: { descriptors: number; resident: number }[] = [];
for (let n = 1; n <= times; n++) {
  await lab.postgres!.stop();
  await lab.postgres!.start();
  const start = performance.now();
  for (const host of lab.hosts) {
    assert.equal(
      host.agent!.ended,
      undefined,
      `the agent of ${host.name} ended: ${host.agent!.stderr}`,
    );
  }
  await storeIs(lab.host(1 + n % hosts), "ok");
  back.push(performance.now() - start);
  if (n % Math.ceil(times / 20) === 0 || n === times) {
    await Promise.all(lab.hosts.map((host) => storeIs(host, "ok")));
    const all = await Promise.all(lab.hosts.map(holds));
    const sample = {
      descriptors: Math.max(...all.map(({ descriptors }) => descriptors)),
      resident: Math.max(...all.map(({ resident }) => resident)),
    };
    samples.push(sample);
    console.log(
      `${n}: ${sample.descriptors} descriptors, ${sample.resident.toFixed(1)} MiB at most`,
    );
  }
}
const [first, last] = [samples[Math.floor(samples.length / 4)]!, samples.at(-1)!];
console.log(
  `ok: ${times} restarts under ${hosts} agents; the store is back ${
    Math.round(median(back))
  } ms after its start (median), descriptors ${first.descriptors} then ${last.descriptors}, resident ${
    first.resident.toFixed(1)
  } then ${last.resident.toFixed(1)} MiB`,
);
assert.ok(last.descriptors <= first.descriptors + 3, "descriptors are kept");
