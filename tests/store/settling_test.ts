// While hosts announce what they hold, nobody takes anything of them: each write of an administrator is refused, or waits.
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { SettlingStoreError } from "../../core/store/identity.ts";
import { openStoreAdmin } from "../../core/store/open.ts";
import { patientStore } from "../../core/store/patient_store.ts";
import type { Store } from "../../core/store/store.ts";
import { addService, removeServices, setService, setTimeouts } from "../../core/services/edit.ts";
import { Dice } from "../chaos/dice.ts";
import { SimClock } from "../sim/sim_clock.ts";
import { byHand } from "../support/by_hand.ts";
import { requestOf } from "../support/lease_driver.ts";
import { ModelDatabase, modelStore, plainWay } from "../support/model_store/model_store.ts";
import { engines, refusal } from "../support/store_engines.ts";

/** What administrators write of leases and of the cluster. */
const OF_LEASES: Record<string, (store: Store) => Promise<unknown>> = {
  reserve: (store) => store.reserveLease("10.244.7.0/24", "192.168.2.7"),
  "reserve by force": (store) =>
    store.reserveLease("10.244.8.0/24", "192.168.2.8", { force: true }),
  release: (store) => store.releaseLease("one"),
  "release by force": (store) => store.releaseLease("two", { force: true }),
  prune: (store) => store.pruneLeases(),
  "prune some": (store) => store.pruneLeases(["one"]),
  "init --replace": (store) => store.initConfig(makeClusterConfig({}), { replace: true }),
};

/** What they write of services: it takes nothing of a host, and stands where nobody waits. */
const OF_SERVICES: Record<string, (store: Store) => Promise<unknown>> = {
  "svc add": (store) => addService(store, "db", { vip: "10.96.0.11", port: 80 }),
  "svc set": (store) => setService(store, "web", { scheduler: "wrr" }),
  "svc timeouts": (store) => setTimeouts(store, { tcp: 60 }),
  "svc rm": (store) => removeServices(store, ["web"]),
};

async function fill(store: Store): Promise<void> {
  await store.acquireLease(requestOf("one", "192.168.2.31"));
  await store.acquireLease(requestOf("two", "192.168.2.32"));
  await addService(store, "web", { vip: "10.96.0.10", port: 80 });
}

for (const [name, start] of Object.entries(engines)) {
  Deno.test(`Administrators take nothing of hosts while a store settles (${name})`, async () => {
    await using engine = await start();
    await engine.fresh({}, async (a, b, url) => {
      await fill(a);
      await using admin = await openStoreAdmin(url);
      await admin.adopt(undefined);
      const before = await b.listLeases();
      for (const [what, write] of Object.entries(OF_LEASES)) {
        // Each within the time after an adoption, however slow the machine.
        await admin.adopt(undefined);
        await assert.rejects(write(b), (error) => {
          assert.ok(error instanceof SettlingStoreError, what);
          assert.match(
            error.message,
            /^Cannot .*: the store was adopted, and hosts have \d s more/,
          );
          return refusal(/announce/)(error);
        });
      }
      assert.deepEqual((await b.listLeases()).leases, before.leases);
      // What is a host's own it gives back at any time.
      const { agentId } = before.leases.find(({ nodeId }) => nodeId === "two")!;
      await a.releaseLease("two", { agentId });
      await byHand(url, "update knet_meta set value = 1 where name = 'settles'");
      await b.reserveLease("10.244.7.0/24", "192.168.2.7");
      assert.deepEqual((await b.pruneLeases()).map(({ nodeId }) => nodeId), ["one"]);
    });
  });
}

Deno.test("patientStore() lets each write wait until hosts have announced what they hold, and says so once", async () => {
  for (const [what, write] of Object.entries({ ...OF_LEASES, ...OF_SERVICES })) {
    using clock = new SimClock(new Dice(1));
    const database = new ModelDatabase();
    const store = modelStore(plainWay(database));
    await store.initConfig(makeClusterConfig({}));
    await fill(store);
    database.adopt(undefined);
    const [began, kept] = [clock.wall(), database.tables];
    const told: string[] = [];
    let ended: number | undefined;
    const done = write(patientStore(store, (sentence) => told.push(sentence)))
      .finally(() => ended = clock.wall());
    const pass = (milliseconds: number) =>
      clock.advance(milliseconds, () => new Promise((resolve) => setImmediate(resolve)));
    await pass(4900);
    assert.equal(ended, undefined, what);
    assert.equal(database.tables, kept, `${what}: nothing is written`);
    await pass(1000);
    await done;
    assert.ok(ended! - began >= 5000 && ended! - began < 5500, what);
    assert.equal(told.length, 1, what);
    // What only looks does not wait.
    assert.ok((await patientStore(store, () => {}).listServices()).services);
  }
});

Deno.test("patientStore() lets an edit that writes nothing pass, and waits no longer than for three adoptions", async () => {
  using clock = new SimClock(new Dice(1));
  const database = new ModelDatabase();
  const store = modelStore(plainWay(database));
  await store.initConfig(makeClusterConfig({}));
  database.adopt(undefined);
  const patient = patientStore(store, () => {});
  await patient.editServices("all", () => ({ result: 1 }));
  let failure: unknown;
  patient.pruneLeases().catch((error) => failure = error);
  for (let n = 0; n < 16; n++) {
    database.adopt(undefined);
    await clock.advance(1000, () => new Promise((resolve) => setImmediate(resolve)));
  }
  assert.ok(failure instanceof SettlingStoreError);
});
