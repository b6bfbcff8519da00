/**
 * A cluster's backend is one, and changing it leaves nothing of the old one behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import { BACKENDS } from "../support/backend.ts";
import { assertFullMesh, containersOf, NETWORK, startCluster } from "../support/cluster.ts";
import { skip } from "../support/skip.ts";
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
    if (lab.store === "dqlite") {
      return skip(
        `init --replace to ${to.name}`,
        "no agent runs meanwhile, and they hold the store",
      );
    }
    assert.equal(lab.host(1).backend, from);
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
    await assertFullMesh(containersOf(lab.hosts));
    const [near, far] = containersOf(lab.hosts);
    assert.ok(await near!.pingFull(far!.address, UNDERLAY_MTU - to.overhead), "a full packet");
  });
}
