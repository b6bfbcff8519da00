/**
 * Fifty hosts join at one moment, each with a whole agent: a cluster that holds its store itself, and those whose store stands elsewhere.
 * All of them on one machine: it is the machine that takes the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import type { Host } from "../support/host.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, until } from "../support/wait.ts";

/** KNET_TEST_JOINERS: fewer, on a machine that is busy. */
const COUNT = Number(Deno.env.get("KNET_TEST_JOINERS") ?? 50);
const OWN = { KNET_STORE: "dqlite:/run/host/data/dqlite" };

const test = labSuite({
  hosts: 0,
  setUp: async (lab) => {
    for (let n = 0; n <= COUNT; n++) await lab.addHost({ storeUrl: "" });
  },
});

/** Waits for all of them, of whom none may end. Each is asked seldom: fifty that are asked all the time have no time for anything else. */
async function allReady(hosts: readonly Host[]): Promise<void> {
  await Promise.all(hosts.map((host) =>
    until(`the agent of ${host.name} is ready`, async () => {
      assert.equal(host.agent!.ended, undefined, `${host.name}: ${host.agent!.stderr}`);
      return (await host.get("/readyz")).status === 200;
    }, { deadline: 600_000, interval: 500 })
  ));
}

test(`13: ${COUNT} hosts join at one moment by one token, none fails, and each has a subnet of its own`, async (lab) => {
  const [first, ...others] = lab.hosts as [Host, ...Host[]];
  await first.join({ env: OWN });
  const token = (await first.knet("token")).stdout.trim().split(" ").at(-1)!;
  const begin = performance.now();
  await Promise.all(others.map((host) => host.join({ args: [token], wait: false })));
  await allReady(others);
  report(
    `13: ${COUNT} agents that began at one moment are ready after ${ms(performance.now() - begin)}`,
  );
  const subnets = await Promise.all(lab.hosts.map((host) => host.subnet()));
  assert.equal(new Set(subnets).size, COUNT + 1);
  await until("three vote, two stand by, and all know each other", async () => {
    const { store, peers } = await others.at(-1)!.knetJson<StatusReport>("status");
    const roles = (store.copies ?? []).map(({ role }) => role);
    return roles.filter((role) => role === "voter").length === 3 &&
      roles.filter((role) => role === "standby").length === 2 &&
      roles.length === COUNT + 1 && peers.length === COUNT;
  }, { deadline: 180_000, interval: 1000 });
  report(
    `13: and the store has its copies ${
      ms(performance.now() - begin)
    } after the first of them began`,
  );
});

// A Postgres as it is installed has room for 97 connections.
for (const store of ["sqlite", "postgres"] as const) {
  const elsewhere = labSuite({ hosts: COUNT, store });

  elsewhere(
    `13: ${COUNT} hosts with ${store} begin at one moment, and each has its network`,
    async (lab) => {
      await lab.host(1).knet("init");
      const begin = performance.now();
      await Promise.all(lab.hosts.map((host) => host.join({ wait: false })));
      await allReady(lab.hosts);
      report(`13: ${COUNT} agents with ${store} are ready after ${ms(performance.now() - begin)}`);
      const subnets = await Promise.all(lab.hosts.map((host) => host.subnet()));
      assert.equal(new Set(subnets).size, COUNT);
      await until("all know each other", async () => {
        const { peers } = await lab.host(COUNT).knetJson<StatusReport>("status");
        return peers.length === COUNT - 1;
      }, { deadline: 60_000, interval: 1000 });
    },
  );
}
