/**
 * A cluster's backend is one, and changing it leaves nothing of the old one behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type BackendCase, BACKENDS } from "../support/backend.ts";
import { assertFullMesh, containersOf, NETWORK, startCluster } from "../support/cluster.ts";
import type { Lab } from "../support/lab.ts";
import { labSuite } from "../support/suite.ts";
import { report } from "../support/wait.ts";
import { converged, UNDERLAY_MTU } from "../support/walk.ts";

const test = labSuite({
  hosts: 3,
  store: "sqlite",
  backend: BACKENDS[0]!,
  setUp: (lab) => startCluster(lab, { containers: 1 }),
});

test("6: a join with another backend than the cluster's fails and names both", async (lab) => {
  const host = await lab.addHost();
  try {
    for (const other of BACKENDS.filter((one) => one.type !== lab.backend.type)) {
      host.joinArgs = other.joinArgs;
      const { code, stderr } = await host.joinOnce([], { check: false });
      assert.equal(code, 4, stderr);
      assert.match(stderr, new RegExp(`backend is ${lab.backend.type}, not ${other.type}`));
    }
  } finally {
    lab.hosts.pop();
    await host[Symbol.asyncDispose]();
  }
});

const steps = BACKENDS.map((from, n) => [from, BACKENDS[(n + 1) % BACKENDS.length]!] as const);

for (const [from, to] of steps.filter(([from, to]) => from !== to)) {
  test(`6: init --replace from ${from.name} to ${to.name} leaves nothing of the old backend`, async (lab) => {
    assert.equal(lab.host(1).backend, from);
    if (lab.store === "dqlite") return await beginAgain(lab, to);
    const subnets = await Promise.all(lab.hosts.map((host) => host.subnet()));
    const init = ["init", "--network", NETWORK, ...to.joinArgs, "--replace"];
    const early = await lab.host(1).knet(init, { check: false });
    assert.equal(early.code, 4, "while hosts hold leases");
    for (const host of lab.hosts) await host.stop();
    for (const host of lab.hosts) await host.knet(`lease release ${host.name} --force`);
    await lab.host(1).knet(init);
    for (const host of lab.hosts) {
      host.backend = to;
      host.joinArgs = to.joinArgs;
    }
    await Promise.all(lab.hosts.map((host) => host.join()));
    const ms = await converged(lab.hosts);
    report(`6: from ${from.name} to ${to.name}: the last host was done ${Math.round(ms)} ms after`);
    assert.deepEqual(await Promise.all(lab.hosts.map((host) => host.subnet())), subnets);
    await assertWorks(lab);
  });
}

async function assertWorks({ hosts }: Lab): Promise<void> {
  const containers = containersOf(hosts);
  await assertFullMesh(containers);
  const [near, far] = containers;
  const { overhead } = hosts[0]!.backend;
  assert.ok(await near!.pingFull(far!.address, UNDERLAY_MTU - overhead), "a full packet");
}

/** Where the hosts hold the store there is none while no agent runs: they leave, and the last one keeps it. */
async function beginAgain(lab: Lab, to: BackendCase): Promise<void> {
  const [first, ...others] = lab.hosts;
  const init = ["init", "--network", NETWORK, ...to.joinArgs, "--replace"];
  const early = await first!.knet(init, { check: false });
  assert.equal(early.code, 4, "while hosts hold leases");
  assert.match(early.stderr, /run knet leave on each of them first/);
  for (const host of [...others, first!]) await host.leave();
  const { stdout } = await first!.knet(init);
  assert.match(stdout, /^Replaced the cluster's configuration/);
  for (const host of lab.hosts) {
    host.backend = to;
    host.joinArgs = to.joinArgs;
  }
  for (const host of lab.hosts) {
    await host.join();
    // The container's namespace was there all the time; what it had of knet is gone.
    await host.run(["ip", "netns", "delete", "c1"]);
    await host.attach("c1");
  }
  await converged(lab.hosts);
  await assertWorks(lab);
}
