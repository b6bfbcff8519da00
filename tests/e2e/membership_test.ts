/**
 * Acceptance 2: a host that joins is known to all soon, one that leaves is forgotten as soon.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import { CASES } from "../support/cases.ts";
import { Driver } from "../support/driver.ts";
import type { Lab } from "../support/lab.ts";
import { monitorPeers } from "../support/monitor.ts";
import type { JoinPlan, LeavePlan } from "../../core/agent/plan.ts";
import { labSuite } from "../support/suite.ts";
import { median, ms, report } from "../support/wait.ts";
import { converged, fingerprint } from "../support/walk.ts";

const TRIES = 10;

for (const [backend, store] of CASES) {
  const setup = `${backend.name}, ${store}`;
  const test = labSuite({
    hosts: 4,
    store,
    backend,
    setUp: (lab) => startCluster(lab, { containers: 1, hosts: lab.hosts.slice(0, 3) }),
  });

  test(`2 (${setup}): a lease takes effect on every host soon after its commit, and out as soon`, async (lab) => {
    const old = lab.hosts.slice(0, 3);
    const monitors = old.map(monitorPeers);
    // Where the agents hold the store, it is to be had on a host that runs one.
    await using driver = await Driver.start(lab.store === "dqlite" ? old[0]! : lab.host(4));
    const added: number[] = [], removed: number[] = [];
    const full = await Promise.all(old.map(fullReconciles));
    for (let n = 0; n < TRIES; n++) {
      const node = `try-${n}`;
      const before = Date.now();
      const { at, subnets } = await driver.tell({
        do: "acquire",
        node,
        publicIp: `192.168.2.${50 + n}`,
      });
      const subnet = subnets?.[0] ?? "";
      const there = await Promise.all(monitors.map((m) => m.changed(subnet, false, before)));
      added.push(Math.max(0, ...there.map((moment) => moment - at)));
      const gone = await driver.tell({ do: "release", node });
      const without = await Promise.all(monitors.map((m) => m.changed(subnet, true, before)));
      removed.push(Math.max(0, ...without.map((moment) => moment - gone.at)));
    }
    report(
      `2 (${setup}): from a lease's commit to the last of 3 hosts, median of ${TRIES}: ` +
        `${ms(median(added))} (worst ${ms(Math.max(...added))}); from its release: ` +
        `${ms(median(removed))} (worst ${ms(Math.max(...removed))})`,
    );
    await converged(old);
    // What a peer changes is what is programmed: everything is looked at by the minute, and no more often for its sake. The minute may
    // have been one of two.
    for (const [n, count] of (await Promise.all(old.map(fullReconciles))).entries()) {
      assert.ok(
        count - full[n]! <= 2,
        `${old[n]!.name} reconciled everything ${count - full[n]!} times`,
      );
    }
  });

  test(`2 (${setup}): a fourth host joins and leaves without a trace`, async (lab) => {
    const old = lab.hosts.slice(0, 3);
    const newcomer = lab.host(4);
    const before = await Promise.all(old.map(fingerprint));
    const pristine = await traces(newcomer);
    const joining = await planned(lab, newcomer);
    if (joining !== undefined) assert.equal(joining.peers, 3);
    assert.equal(await traces(newcomer), pristine);
    await newcomer.join();
    const subnet = await newcomer.subnet();
    if (joining !== undefined) assert.equal(subnet, joining.subnet);
    await newcomer.attach("c1");
    await converged(lab.hosts);
    await assertFullMesh(containersOf(lab.hosts));
    const leaving = await newcomer.knetJson<LeavePlan>("leave --dry-run");
    assert.deepEqual([leaving.released, leaving.containers, leaving.agent], [
      subnet,
      ["c1"],
      true,
    ]);
    if (joining !== undefined) {
      assert.deepEqual(leaving.devices.toSorted(), joining.makes.toSorted());
    }
    await assertFullMesh(containersOf(lab.hosts));
    await newcomer.leave();
    await converged(old);
    assert.deepEqual(await Promise.all(old.map(fingerprint)), before);
    assert.equal(await traces(newcomer), pristine);
    assert.doesNotMatch((await lab.host(1).knet("lease ls")).stdout, /\bh4\b/);
    await newcomer.run("ip netns delete c1");
  });
}

/** What joining would do; undefined where the agents hold the store, which a host that has not joined cannot ask. */
async function planned(lab: Lab, host: Lab["hosts"][number]): Promise<JoinPlan | undefined> {
  const line = ["join", ...host.joinArgs, "--dry-run"];
  if (lab.store !== "dqlite") return await host.knetJson<JoinPlan>(line);
  const { code, stderr } = await host.knet(line, { check: false });
  assert.equal(code, 2, stderr);
  assert.match(stderr, /the agents hold it/);
}

/** How often a host has reconciled everything, since its agent started. */
async function fullReconciles(host: Lab["hosts"][number]): Promise<number> {
  const { body } = await host.get("/metrics");
  return Number(/^knet_reconciles_total\{cause="drift"\} (\d+)$/m.exec(body)?.[1] ?? 0);
}

/** What `knet leave` must leave on a host: what was there before. */
async function traces(host: Lab["hosts"][number]): Promise<string> {
  const { stdout } = await host.sh(
    "ls /sys/class/net; ip -4 route show table all | sort; ip nexthop; nft list ruleset; ip rule",
  );
  return stdout;
}
