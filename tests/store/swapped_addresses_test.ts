// Hosts that get each other's public addresses: a DHCP server may deal them out anew, after the power was away, say.
import assert from "node:assert/strict";
import { doubledLeases } from "../../core/cluster/lease_doubles.ts";
import { holder, node } from "../support/lease_requests.ts";
import { enginesAndModel, type Fresh, refusal } from "../support/store_engines.ts";

for (const [name, start] of Object.entries(enginesAndModel)) {
  Deno.test(`Addresses that hosts swap (${name})`, async (test) => {
    await using engine = await start();
    const check = (sentence: string, run: Parameters<Fresh>[1]) =>
      test.step(`${name}: ${sentence}`, () => engine.fresh({}, run));

    await check(
      "three hosts whose addresses went round have them by and by, and whoever has none is refused still",
      async (a, b) => {
        const at = (n: number) => `192.168.2.${n}`;
        for (const n of [1, 2, 3]) await a.acquireLease(node(n));
        const { leases } = await a.listLeases();
        const subnetOf = (n: number) => leases.find(({ nodeId }) => nodeId === `node-${n}`)!.subnet;
        const renew = async (n: number) => {
          const publicIp = at(n % 3 + 1);
          const renewal = await b.renewLease(holder(n, subnetOf(n), { publicIp }));
          assert.ok(renewal.state === "renewed");
          return [renewal.lease.publicIp, renewal.rival?.nodeId];
        };
        assert.deepEqual(await renew(1), [at(1), "node-2"]);
        assert.deepEqual(await renew(2), [at(2), "node-3"]);
        assert.deepEqual(await renew(3), [at(1), undefined]);
        await assert.rejects(
          a.acquireLease(node(4, { publicIp: at(1) })),
          refusal(/"n3" \(node id node-3/),
        );
        assert.deepEqual(await renew(2), [at(3), undefined]);
        assert.deepEqual(await renew(1), [at(2), undefined]);
        const { leases: after } = await a.listLeases();
        const placed = after.map(({ nodeId, publicIp }) => [nodeId, publicIp]).sort();
        assert.deepEqual(placed, [["node-1", at(2)], ["node-2", at(3)], ["node-3", at(1)]]);
        assert.ok(after.every(({ backendData }) => backendData.wants === undefined));
      },
    );

    await check(
      "two hosts that come back with each other's address keep their subnets and get it; a third one is refused",
      async (a, b) => {
        const one = await a.acquireLease(node(1));
        const two = await a.acquireLease(node(2));
        const back = await b.acquireLease(node(1, { publicIp: "192.168.2.2" }));
        assert.equal(back.rival?.nodeId, "node-2");
        assert.deepEqual([back.lease.subnet, back.lease.publicIp], [
          one.lease.subnet,
          "192.168.2.1",
        ]);
        // Another one that never held a lease is none that comes back.
        await assert.rejects(
          b.acquireLease(node(1, { agentId: "another", publicIp: "192.168.2.2" })),
          refusal(/"n2" \(node id node-2/),
        );
        const other = await b.acquireLease(node(2, { publicIp: "192.168.2.1" }));
        assert.equal(other.rival, undefined);
        assert.deepEqual([other.lease.subnet, other.lease.publicIp], [
          two.lease.subnet,
          "192.168.2.1",
        ]);
        const again = await b.acquireLease(node(1, { publicIp: "192.168.2.2" }));
        assert.deepEqual([again.lease.publicIp, again.rival], ["192.168.2.2", undefined]);
      },
    );

    await check(
      "a host that comes back to an address which it left, and another one has by now, is told so",
      async (a, b) => {
        const { lease } = await a.acquireLease(node(1));
        await a.acquireLease(node(2));
        const renew = async (publicIp: string) => {
          const renewal = await b.renewLease(holder(1, lease.subnet, { publicIp }));
          assert.ok(renewal.state === "renewed");
          return [renewal.lease.publicIp, renewal.rival?.nodeId];
        };
        const [one, two] = ["192.168.2.1", "192.168.2.2"];
        assert.deepEqual(await renew(two), [one, "node-2"]);
        const third = await a.acquireLease(node(3, { publicIp: one }));
        assert.deepEqual(await renew(one), [one, "node-3"]);
        assert.deepEqual(await renew(one), [one, "node-3"], "as long as it has it");
        // Both go by it, and everybody sees that.
        const { leases, now } = await a.listLeases();
        assert.match(doubledLeases(leases, now).join(), /"n1" .* and "n3" .* have one public IP/);
        const again = await a.acquireLease(node(1));
        assert.equal(again.rival?.nodeId, "node-3");
        await a.releaseLease(third.lease.nodeId, { force: true });
        assert.deepEqual(await renew(one), [one, undefined]);
        await assert.rejects(
          a.acquireLease(node(4, { publicIp: one })),
          refusal(/"n1" \(node id node-1/),
        );
      },
    );

    await check(
      "whoever goes by an address that no host can have keeps nobody from the one that it left",
      async (a, b) => {
        const { lease } = await a.acquireLease(node(1));
        const renewal = await b.renewLease(holder(1, lease.subnet, { publicIp: "10.244.9.9" }));
        assert.ok(renewal.state === "renewed" && renewal.unfit !== undefined);
        assert.equal(renewal.lease.publicIp, "192.168.2.1");
        const { lease: other } = await a.acquireLease(node(2, { publicIp: "192.168.2.1" }));
        assert.equal(other.publicIp, "192.168.2.1");
        const { leases, now } = await a.listLeases();
        assert.deepEqual(doubledLeases(leases, now), []);
      },
    );
  });
}
