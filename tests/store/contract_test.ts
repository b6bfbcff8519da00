// One contract, all engines: what a cluster may rely on whichever database it has.
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import type { Store } from "../../core/store/store.ts";
import { holder, node } from "../support/lease_requests.ts";
import { enginesAndModel, refusal } from "../support/store_engines.ts";

for (const [name, start] of Object.entries(enginesAndModel)) {
  Deno.test(`Store (${name})`, async (test) => {
    await using engine = await start();
    const check = (
      sentence: string,
      request: Parameters<typeof makeClusterConfig>[0],
      run: (a: Store, b: Store) => Promise<void>,
    ) => test.step(`${name}: ${sentence}`, () => engine.fresh(request, run));

    await check("acquireLease() gives 40 nodes at once 40 subnets", {}, async (a, b) => {
      const grants = await Promise.all(
        Array.from({ length: 40 }, (_, n) => (n % 2 ? a : b).acquireLease(node(n + 1))),
      );
      assert.equal(new Set(grants.map((grant) => grant.lease.subnet)).size, 40);
      assert.deepEqual(new Set(grants.map((grant) => grant.how)), new Set(["new"]));
    });

    await check(
      "acquireLease() gives a /24 of /30 subnets to exactly 64 nodes",
      { network: "10.9.0.0/24", subnetLen: 30 },
      async (a) => {
        for (let n = 1; n <= 64; n++) await a.acquireLease(node(n));
        await assert.rejects(
          a.acquireLease(node(65)),
          refusal(/^Cannot lease a subnet of 10\.9\.0\.0\/24: all 64 are taken$/),
        );
      },
    );

    await check(
      "acquireLease() gives a returning node its subnet, also with a new address and name",
      {},
      async (a, b) => {
        await a.acquireLease(node(1));
        const { lease } = await a.acquireLease(node(2));
        const again = await b.acquireLease(
          node(2, { publicIp: "192.168.2.200", nodeName: "other", bootId: "later" }),
        );
        assert.equal(again.how, "kept");
        assert.equal(again.lease.subnet, lease.subnet);
        assert.equal(again.lease.publicIp, "192.168.2.200");
      },
    );

    await check("acquireLease() refuses a clone and names both hosts", {}, async (a, b) => {
      await a.acquireLease(node(1));
      await assert.rejects(
        b.acquireLease(node(1, { agentId: "clone", publicIp: "192.168.2.77", nodeName: "twin" })),
        refusal(/"twin" \(192\.168\.2\.77\).*"n1" at 192\.168\.2\.1/),
      );
    });

    await check(
      "acquireLease() refuses a living host's public address and names both; an expired one's is free",
      { leaseTtl: 2 },
      async (a, b) => {
        const first = await a.acquireLease(node(1, { publicIp: "10.0.2.15" }));
        const second = node(2, { publicIp: "10.0.2.15" });
        await assert.rejects(
          b.acquireLease(second),
          refusal(/"n2" \(10\.0\.2\.15\).*"n1" \(node id node-1, 10\.244\.0\.0\/24\)/),
        );
        const other = await b.acquireLease(node(2));
        // A host that runs and gets the address later is told, and stays where it was.
        const renewal = await b.renewLease(
          holder(2, other.lease.subnet, { publicIp: "10.0.2.15" }),
        );
        assert.ok(renewal.state === "renewed");
        assert.equal(renewal.rival?.nodeId, "node-1");
        assert.equal(renewal.lease.publicIp, "192.168.2.2");
        await new Promise((resolve) => setTimeout(resolve, 2100));
        const late = await b.acquireLease(second);
        assert.notEqual(late.lease.subnet, first.lease.subnet);
        assert.equal(late.lease.publicIp, "10.0.2.15");
      },
    );

    for (
      const [copy, more] of [
        ["of another boot and address", { bootId: "other", publicIp: "192.168.2.77" }],
        ["of another boot", { bootId: "other" }],
        ["at another address", { publicIp: "192.168.2.77" }],
      ] as const
    ) {
      await check(
        `acquireLease() asks before it gives a copy ${copy} the lease`,
        {},
        async (a, b) => {
          const { lease } = await a.acquireLease(node(1, { asked: false }));
          const newcomer = node(1, more);
          const asked = await b.acquireLease({ ...newcomer, asked: false });
          assert.equal(asked.how, "asked");
          assert.equal(asked.lease.publicIp, "192.168.2.1", "peers go on as they did");
          const living = { ...holder(1, lease.subnet), bootId: "boot", heldIps: [lease.publicIp] };
          assert.equal((await a.renewLease(living)).state, "renewed");
          await assert.rejects(
            b.acquireLease({ ...newcomer, asked: true }),
            refusal(/"n1" at 192\.168\.2\.1 runs with the same node id/),
          );
          // Now nobody answers: it was the same host, booted again. If it comes back nevertheless, it learns of that.
          await b.acquireLease({ ...newcomer, asked: false });
          const taken = await b.acquireLease({ ...newcomer, asked: true });
          assert.equal(taken.lease.subnet, lease.subnet);
          const late = await a.renewLease(living);
          assert.equal(late.state, "taken-over");
        },
      );
    }

    await check("acquireLease() derives another MAC where a peer has the same", {}, async (a) => {
      await a.acquireLease(node(1));
      const same = node(1).backendData;
      const { lease } = await a.acquireLease(node(2, { backendData: same }));
      assert.deepEqual(lease.backendData, same(1));
    });

    await check(
      "acquireLease() takes an expired subnet only when nothing else is free, and its owner learns of it",
      { network: "10.9.0.0/24", subnetLen: 26, leaseTtl: 2 },
      async (a, b) => {
        const first = await a.acquireLease(node(1));
        for (const n of [2, 3, 4]) await a.acquireLease(node(n));
        await new Promise((resolve) => setTimeout(resolve, 1700));
        for (const n of [2, 3, 4]) {
          const { leases } = await a.listLeases();
          const { subnet } = leases.find((lease) => lease.nodeId === `node-${n}`)!;
          assert.equal((await b.renewLease(holder(n, subnet))).state, "renewed");
        }
        await new Promise((resolve) => setTimeout(resolve, 350));
        const grant = await b.acquireLease(node(5));
        assert.equal(grant.how, "reassigned");
        assert.equal(grant.lease.subnet, first.lease.subnet);
        assert.equal((await a.renewLease(holder(1, first.lease.subnet))).state, "lost");
      },
    );

    await check("reserveLease() keeps a subnet for an address", {}, async (a, b) => {
      await a.reserveLease("10.244.0.0/24", "192.168.2.9");
      assert.equal((await b.acquireLease(node(1))).lease.subnet, "10.244.1.0/24");
      const grant = await b.acquireLease(node(9));
      assert.deepEqual([grant.how, grant.lease.subnet], ["reserved", "10.244.0.0/24"]);
      assert.equal(grant.lease.reserved, true);
    });

    await check("renewLease() tells a holder that another agent has its row", {}, async (a, b) => {
      const { lease } = await a.acquireLease(node(1));
      await b.acquireLease(node(1, { agentId: "second" }));
      assert.equal((await a.renewLease(holder(1, lease.subnet))).state, "taken-over");
    });

    await check("acquireLease() says which store gave the lease", {}, async (a) => {
      const { store } = await a.acquireLease(node(1));
      const { identity, epoch } = (await a.changesSince(0)).mark;
      assert.deepEqual(store, { identity, epoch });
      assert.notEqual(identity, 0);
    });

    await check("renewLease() raises the revision only for news", {}, async (a) => {
      const { lease, revision } = await a.acquireLease(node(1));
      await a.renewLease(holder(1, lease.subnet));
      assert.equal((await a.listLeases()).revision, revision);
      await a.renewLease(holder(1, lease.subnet, { publicIp: "192.168.2.50" }));
      assert.equal((await a.listLeases()).revision, revision + 1);
    });

    await check("releaseLease() wants force for a living node", {}, async (a, b) => {
      await a.acquireLease(node(1));
      await assert.rejects(b.releaseLease("n1"), refusal(/the node lives$/));
      await b.releaseLease("n1", { force: true });
      assert.deepEqual((await a.listLeases()).leases, []);
    });

    await check("changesSince() tells only what is above a revision", {}, async (a, b) => {
      await a.acquireLease(node(1));
      await a.acquireLease(node(2));
      const { revision, full } = await b.changesSince(0);
      assert.equal(full, true);
      await a.releaseLease("n1", { force: true });
      const { lease } = await a.acquireLease(node(3));
      const changes = await b.changesSince(revision);
      assert.equal(changes.full, false);
      assert.deepEqual(changes.leases.map((one) => one.subnet), [lease.subnet]);
      assert.deepEqual(changes.removed, [{ nodeId: "node-1", family: 4 }]);
      assert.deepEqual((await b.changesSince(changes.revision)).leases, []);
    });

    await check("a write that fails leaves nothing, and others go on", {}, async (a) => {
      const failing = a.acquireLease(node(1, {
        backendData: () => {
          throw new RangeError("no data");
        },
      }));
      const other = a.acquireLease(node(2));
      await assert.rejects(failing);
      await other;
      const { leases } = await a.listLeases();
      assert.deepEqual(leases.map((lease) => lease.nodeName), ["n2"]);
    });

    await check("initConfig() shows both values of a contradiction", {}, async (_a, b) => {
      await assert.rejects(
        b.initConfig(makeClusterConfig({ network: "10.9.0.0/16" })),
        refusal(/network is 10\.244\.0\.0\/16, not 10\.9\.0\.0\/16/),
      );
    });

    await check("subscribe() tells of another connection's change", {}, async (a, b) => {
      let told = () => {};
      const change = new Promise<void>((resolve) => told = resolve);
      let listening = () => {};
      const ready = new Promise<void>((resolve) => listening = resolve);
      let armed = false;
      using _subscription = b.subscribe(() => armed && told(), () => listening());
      await ready;
      await new Promise((resolve) => setTimeout(resolve, 100));
      armed = true;
      const began = performance.now();
      await a.acquireLease(node(1));
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([
        change,
        new Promise((_resolve, reject) =>
          timer = setTimeout(() => reject(new Error("no news in 10 s")), 10_000)
        ),
      ]);
      clearTimeout(timer);
      console.log(`report: ${name}: told after ${(performance.now() - began).toFixed(1)} ms`);
    });
  });
}
