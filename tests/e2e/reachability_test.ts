/**
 * Acceptance 1: every container reaches every other, over the walk's entries and nothing else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { CASES } from "../support/cases.ts";
import { Capture } from "../support/capture.ts";
import { assertFullMesh, containersOf, NETWORK, startCluster } from "../support/cluster.ts";
import { labSuite } from "../support/suite.ts";
import { payload, sha256 } from "../support/transfer.ts";
import { report } from "../support/wait.ts";
import { converged, UNDERLAY_MTU } from "../support/walk.ts";

const MEGABYTES = 20;
const BYTES = MEGABYTES * 1_000_000;

for (const [backend, store] of CASES) {
  const setup = `${backend.name}, ${store}`;
  const test = labSuite({
    hosts: 3,
    store,
    backend,
    setUp: (lab) => startCluster(lab, { containers: 2 }),
  });

  test(`1 (${setup}): every host shows the walk's entries and nothing more`, async (lab) => {
    await converged(lab.hosts);
  });

  test(`1 (${setup}): every container pings every other`, async (lab) => {
    await assertFullMesh(containersOf(lab.hosts));
  });

  test(`1 (${setup}): ${MEGABYTES} MB over TCP arrive intact from every container to every other`, async (lab) => {
    const containers = containersOf(lab.hosts);
    const expected = sha256(payload(BYTES));
    const servers = await Promise.all(containers.map((container) => container.serve(BYTES)));
    try {
      const rates: number[] = [];
      for (const reader of containers) {
        const others = containers.filter((other) => other !== reader);
        for (const transfer of await reader.fetch(others.map((other) => other.address))) {
          const what = `${reader.label} reads from ${transfer.address}`;
          assert.equal(transfer.bytes, BYTES, what);
          assert.equal(transfer.sha256, expected, what);
          rates.push(transfer.bytes * 8 / transfer.seconds / 1e9);
        }
      }
      const slowest = Math.min(...rates).toFixed(2);
      report(
        `1 (${setup}): ${rates.length} transfers, the slowest at ${slowest} Gbit/s (checksum included)`,
      );
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
  });

  test(`1 (${setup}): packets cross the underlay as the backend sends them`, async (lab) => {
    const [a, b] = [lab.host(1), lab.host(2)];
    const capture = await Capture.start(lab.enterUnderlay, a.name, lab.backend.captureFilter);
    await using _end = capture;
    const near = a.containers[0]!, far = b.containers[0]!;
    await near.run(`ping -n -q -c 3 -i 0.05 ${far.address}`);
    const frames = await capture.frames(6);
    assert.ok(frames.length >= 6, `${frames.length} frames captured`);
    await lab.backend.checkPackets(frames, near, far);
  });

  test(`1 (${setup}): packets as long as the MTU pass in one piece`, async (lab) => {
    const mtu = UNDERLAY_MTU - lab.backend.overhead;
    const env = await lab.host(1).subnetEnv();
    assert.equal(env["KNET_MTU"], `${mtu}`);
    assert.equal(env["FLANNEL_MTU"], `${mtu}`);
    assert.equal(env["KNET_NETWORK"], NETWORK);
    assert.equal(env["FLANNEL_SUBNET"], env["KNET_SUBNET"]);
    const [near, far] = [lab.host(1).containers[0]!, lab.host(3).containers[1]!];
    assert.ok(await near.pingFull(far.address, mtu), "a packet of the full MTU");
    assert.ok(!await near.pingFull(far.address, mtu + 1), "a packet longer than the MTU");
  });
}
