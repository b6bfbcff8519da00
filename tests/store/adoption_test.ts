// A store as a whole on every engine: identity, adoption, backup and restore, and what hosts announce.
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { knownBy } from "../../core/store/adoption.ts";
import { readBackup } from "../../core/store/backup.ts";
import { DifferentStoreError } from "../../core/store/identity.ts";
import { openEngine, openStoreAdmin } from "../../core/store/open.ts";
import { addService } from "../../core/services/edit.ts";
import { addressOfNode, requestOf } from "../support/lease_driver.ts";
import { enginesAndModel, refusal } from "../support/store_engines.ts";

const join = (node: string) => requestOf(node, addressOfNode(node));

for (const [name, start] of Object.entries(enginesAndModel)) {
  Deno.test(`The store as a whole (${name})`, async (test) => {
    await using engine = await start();
    /** The administrator of the store that was made last. */
    const adminOf = async (url: string) =>
      engine.adopt === undefined
        ? await openStoreAdmin(url)
        : { adopt: engine.adopt, [Symbol.asyncDispose]: () => Promise.resolve() };

    await test.step(`${name}: it has an identity that stays, and an epoch that adoption raises`, () =>
      engine.fresh({}, async (a, b, url) => {
        const { mark } = await a.changesSince(0);
        assert.ok(Number.isSafeInteger(mark.identity) && mark.identity > 0);
        assert.equal(mark.epoch, 1);
        await a.acquireLease(join("one"));
        a.expect((await a.changesSince(0)).mark);
        await using admin = await adminOf(url);
        const adopted = await admin.adopt(undefined);
        const { epoch } = adopted.mark;
        assert.equal(adopted.mark.identity, mark.identity);
        assert.ok(Math.abs(epoch - Date.now() / 1000) < 60, "it is the time");
        // Who knows the epoch before has to announce first.
        await assert.rejects(a.pruneLeases(), /adopted/);
        assert.equal((await b.changesSince(0)).mark.epoch, epoch);
        assert.ok((await admin.adopt(undefined)).mark.epoch > epoch, "also within one second");
        const seen = await b.changesSince(0);
        assert.ok(seen.settling > 0);
        a.expect({ ...seen.mark, identity: seen.mark.identity + 1 });
        await assert.rejects(a.sweepDrained(), DifferentStoreError);
        a.expect({ ...seen.mark, revision: seen.mark.revision + 1 });
        await assert.rejects(a.sweepDrained(), /went back/);
        a.expect(seen.mark);
        await a.sweepDrained();
      }));

    await test.step(`${name}: of two that announce one subnet the older lease stays, and newcomers wait`, () =>
      engine.fresh({}, async (a, b, url) => {
        const one = (await a.acquireLease(join("one"))).lease;
        const two = (await a.acquireLease(join("two"))).lease;
        await using admin = await adminOf(url);
        await admin.adopt(undefined);
        await assert.rejects(b.acquireLease(join("three")), /announce/);
        // What the store has forgotten, its holder has not.
        const lost = { ...one, nodeId: "lost", subnet: "10.244.9.0/24", acquired: one.acquired };
        assert.equal((await a.announceLease(lost)).state, "held");
        const rival = { ...two, nodeId: "rival", subnet: lost.subnet, acquired: two.acquired + 50 };
        const answer = await b.announceLease(rival);
        assert.equal(answer.state, "lost");
        assert.equal(answer.state === "lost" && answer.to?.nodeId, "lost");
        const older = { ...rival, nodeId: "older", acquired: one.acquired - 50 };
        assert.equal((await b.announceLease(older)).state, "held");
        // A row that nobody has announced gives way to who has the subnet in its kernel.
        const holder = {
          ...two,
          nodeId: "holder",
          subnet: one.subnet,
          acquired: two.acquired + 99,
        };
        assert.equal((await b.announceLease(holder)).state, "held");
        assert.equal((await a.announceLease(one)).state, "held", "it is the older one, and lives");
        const outside = { ...two, subnet: "10.99.0.0/24" };
        assert.deepEqual(await a.announceLease(outside), { state: "lost" });
        const { leases } = await b.listLeases();
        const bySubnet = leases.map(({ nodeId, subnet }) => `${subnet} ${nodeId}`);
        assert.deepEqual(bySubnet, [
          "10.244.0.0/24 one",
          "10.244.1.0/24 two",
          "10.244.9.0/24 older",
        ]);
      }));

    if (name === "model") return; // It has no rows to back up or to drop.
    await test.step(`${name}: a backup is whole, says when it is damaged, and restores another store`, () =>
      engine.fresh({ network: "172.26.0.0/16" }, async (a, _b, url) => {
        const { lease } = await a.acquireLease(join("one"));
        const web = {
          ...{ nodeId: "one", key: "kv2", name: "web", address: "172.26.0.2", ifname: "eth0" },
          ...{ netns: "", runtime: "", containerId: "", labels: {}, ports: [] },
        };
        await a.reserveLease("172.26.7.0/24", "192.168.2.107");
        await addService(a, "web", {
          ...{ vip: "10.96.0.10", port: 80 },
          destinations: [{ address: "172.26.0.9", port: 8080 }],
        });
        await using admin = await openStoreAdmin(url);
        const without = JSON.stringify((await admin.backup()).tables);
        await a.putContainers({ nodeId: "one", agentId: lease.agentId, put: [web], remove: [] });
        const backup = await admin.backup();
        // Each host says again what it has.
        assert.equal(JSON.stringify(backup.tables), without);
        const text = JSON.stringify(backup);
        await a.acquireLease(join("late"));
        const cut = text.slice(0, -40), changed = text.replace("172.26.7.0", "172.26.8.0");
        assert.throws(() => readBackup(cut, '"x"'), /Cannot restore from "x"/);
        assert.throws(() => readBackup(changed, '"x"'), /digest/);
        assert.throws(() => readBackup('{"format":"other"}', '"x"'), /no backup of knet's/);
        const read = readBackup(text, '"x"');
        await assert.rejects(admin.restore(read, undefined, false), refusal(/holds 3 leases/));
        const done = await admin.restore(read, undefined, true);
        assert.deepEqual([done.leases, done.services], [2, 1]);
        assert.equal(done.mark.identity, backup.mark.identity);
        assert.ok(done.mark.epoch > backup.mark.epoch);
        const { leases } = await a.listLeases();
        assert.deepEqual(leases.map(({ subnet }) => subnet), ["172.26.0.0/24", "172.26.7.0/24"]);
        assert.equal((await a.listServices()).services[0]!.destinations.length, 1);
        assert.deepEqual((await a.listContainers()).containers, []);
        const again = await admin.backup();
        const plain = ({ tables }: typeof backup) =>
          tables.services.map(({ revision: _, ...row }) => row);
        assert.deepEqual(plain(again), plain(backup));
        const info = await admin.info();
        assert.deepEqual(info.problems, []);
        assert.deepEqual(info.leases, { held: 0, expired: 1, reserved: 1 });
      }));

    await test.step(`${name}: a store that was emptied is filled with what a host remembers`, () =>
      engine.fresh({}, async (a, _b, url) => {
        const own = (await a.acquireLease(join("one"))).lease;
        const peer = (await a.acquireLease(join("two"))).lease;
        const { mark } = await a.changesSince(0);
        await using admin = await openStoreAdmin(url);
        const empty = await admin.backup();
        const tables = { ...empty.tables, config: [], leases: [] };
        await admin.restore({ ...empty, tables }, undefined, true);
        await assert.rejects(admin.adopt(undefined), refusal(/remembers none/));
        assert.match((await admin.info()).problems[0]!, /no cluster configuration/);
        const config = makeClusterConfig({});
        const known = knownBy({
          ...{ version: 1, config, own, peers: [peer] },
          store: { ...mark, epoch: 4_000_000_000, rows: {} },
        });
        const done = await admin.adopt(known);
        assert.deepEqual(done.mark.epoch, 4_000_000_001);
        assert.equal(done.remembered, true);
        assert.deepEqual(await a.getConfig(), config);
        const { leases, now } = await a.listLeases();
        assert.deepEqual(leases.map(({ nodeId }) => nodeId), ["one", "two"]);
        assert.ok(leases.every(({ expires }) => expires <= now));
      }));

    if (name === "remote") return; // Its engine is another's.
    for (const dropped of ["knet_services", "knet_tokens", "knet_meta"]) {
      await test.step(`${name}: adoption makes anew what somebody dropped: ${dropped}`, () =>
        engine.fresh({}, async (a, b, url) => {
          const { lease } = await a.acquireLease(join("one"));
          const { mark } = await a.changesSince(0);
          const raw = await openEngine(url);
          await using _raw = { [Symbol.asyncDispose]: () => raw.close() };
          await raw.write((query) => query(`drop table ${dropped}`));
          if (dropped !== "knet_tokens") {
            await assert.rejects(b.listServices(), refusal(/counters|dropped|no knet store/));
          }
          await using admin = await openStoreAdmin(url, { repair: true });
          await admin.adopt(knownBy({
            ...{ version: 1, config: makeClusterConfig({}), own: lease, peers: [] },
            store: { ...mark, rows: {} },
          }));
          await addService(b, "web", { vip: "10.96.0.9", port: 80 });
          assert.deepEqual((await a.listServices()).services.map(({ name }) => name), ["web"]);
          await raw.read((query) => query(`select * from ${dropped}`));
        }));
    }
  });
}
