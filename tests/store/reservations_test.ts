// What is written of leases is what readers take, and nobody loses a reservation by accident.
import assert from "node:assert/strict";
import type { Store } from "../../core/store/store.ts";
import { requestOf } from "../support/lease_driver.ts";
import { engines, refusal } from "../support/store_engines.ts";

// The worker runs the same statements.
const { sqlite, postgres } = engines;

for (const [name, start] of Object.entries({ sqlite: sqlite!, postgres: postgres! })) {
  Deno.test(`Leases as they are written (${name})`, async (test) => {
    await using engine = await start();
    const check = (sentence: string, run: (a: Store, b: Store) => Promise<void>) =>
      test.step(`${name}: ${sentence}`, () => engine.fresh({}, run));

    await check("reserveLease() leaves others what they have", async (a, b) => {
      await a.reserveLease("10.244.7.0/24", "192.168.2.7");
      const again = await b.reserveLease("10.244.7.0/24", "192.168.2.7");
      assert.equal(again.publicIp, "192.168.2.7");
      await assert.rejects(
        b.reserveLease("10.244.7.0/24", "192.168.2.8"),
        refusal(/^Cannot reserve 10\.244\.7\.0\/24: it is reserved for 192\.168\.2\.7$/),
      );
      await assert.rejects(
        b.reserveLease("10.244.8.0/24", "192.168.2.7"),
        refusal(/: 10\.244\.7\.0\/24 is reserved for 192\.168\.2\.7 already$/),
      );
      const { lease } = await a.acquireLease(requestOf("one", "192.168.2.31"));
      for (const force of [false, true]) {
        await assert.rejects(
          b.reserveLease(lease.subnet, "192.168.2.8", { force }),
          refusal(/: "one" at 192\.168\.2\.31 holds it$/),
        );
        await assert.rejects(
          b.reserveLease("10.244.9.0/24", "192.168.2.31", { force }),
          refusal(/: "one" at 192\.168\.2\.31 lives, and holds 10\.244\.0\.0\/24$/),
        );
        for (const address of ["127.0.0.1", "224.0.0.1", "10.244.3.3", "fd00::1", "0.0.0.0"]) {
          await assert.rejects(
            b.reserveLease("10.244.9.0/24", address, { force }),
            refusal(/^Cannot reserve 10\.244\.9\.0\/24: /),
            address,
          );
        }
      }
      // What one has it may keep; what is reserved goes to another by force alone.
      assert.equal((await b.reserveLease(lease.subnet, "192.168.2.31")).agentId, lease.agentId);
      const taken = await b.reserveLease("10.244.7.0/24", "192.168.2.8", { force: true });
      assert.equal(taken.publicIp, "192.168.2.8");
    });

    await check(
      "acquireLease() and renewLease() write nothing that readers would leave out",
      async (a, b) => {
        const request = requestOf("one", "192.168.2.31");
        const { lease } = await a.acquireLease(request);
        for (
          const wrong of [
            { publicIp: "10.244.9.9" },
            { publicIp: "127.0.0.1" },
            { nodeName: "\x1b[2J" },
            { backendData: () => ({ mac: "ff:ff:ff:ff:ff:ff" }) },
          ]
        ) {
          const other = { ...requestOf("two", "192.168.2.32"), ...wrong };
          await assert.rejects(a.acquireLease(other), refusal(/^Cannot join as /));
        }
        const { nodeId, family, nodeName, agentId } = request;
        const { subnet, backendData } = lease;
        const holder = { nodeId, family, nodeName, agentId, subnet, backendData };
        const renewal = await a.renewLease({ ...holder, publicIp: "10.244.9.9" });
        assert.ok(renewal.state === "renewed");
        assert.equal(renewal.lease.publicIp, "192.168.2.31");
        assert.match(renewal.unfit ?? "", /in the cluster network/);
        assert.deepEqual((await b.listLeases()).problems, []);
      },
    );
  });
}
