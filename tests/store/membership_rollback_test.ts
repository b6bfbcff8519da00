// What becomes of a host whose last writes a store has lost without anybody's noticing: by a fail-over, or a file put in its place.
import assert from "node:assert/strict";
import { Membership } from "../../core/agent/membership.ts";
import { StoreAwayError } from "../../core/base/error.ts";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import type { Lease } from "../../core/cluster/lease.ts";
import { backendOf } from "../../core/overlay/backend/backends.ts";
import type { RememberedStore } from "../../core/store/store_memory.ts";
import type { Store } from "../../core/store/store.ts";
import { Dice } from "../chaos/dice.ts";
import { SimClock } from "../sim/sim_clock.ts";
import { ModelDatabase, modelStore, plainWay } from "../support/model_store/model_store.ts";

/** A store whose file somebody puts another in the place of, and which says so, as an engine does. */
async function restorable() {
  const database = new ModelDatabase();
  let tell: Parameters<Store["subscribe"]>[1];
  const way = plainWay(database);
  const store = modelStore({
    ...way,
    subscribe(onChange, onState) {
      tell = onState;
      return way.subscribe(onChange, onState);
    },
  });
  await store.initConfig(makeClusterConfig({}));
  const restore = (tables: typeof database.tables) => {
    database.replace(tables);
    tell!("away", "another file");
    tell!("notify", "told");
    database.tell();
  };
  return { database, store, restore };
}

interface Host {
  readonly bootId: string;
  readonly address?: () => string;
  readonly before?: {
    readonly own: Lease | undefined;
    readonly store: RememberedStore | undefined;
  };
}

/** A host's membership for as long as a test needs it. */
async function member(
  store: Store,
  { bootId, address = () => "192.168.2.1", before }: Host,
  run: (membership: Membership, pass: (milliseconds: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  using clock = new SimClock(new Dice(1));
  const pass = (milliseconds: number) =>
    clock.advance(milliseconds, () => new Promise((resolve) => setImmediate(resolve)));
  const membership = new Membership({
    store,
    identity: { nodeId: "n1", nodeName: "n1", bootId, agentId: "agent" },
    family: 4,
    loadConfig: async (store) => (await store.getConfig())!,
    backendOf: (config) => backendOf(config.backend),
    publicIp: address,
    remembered: before?.own,
    ...(before?.store && { rememberedStore: before.store }),
    events: { onLease: () => {}, onAllPeers: () => {}, onSomePeers: () => {}, onHealth: () => {} },
  });
  const stop = new AbortController();
  const ended = membership.run(stop.signal);
  try {
    await pass(10_000);
    await run(membership, pass);
  } finally {
    stop.abort();
    await pass(0);
    await ended;
  }
}

Deno.test("Membership takes a row of its own former boot, which a store went back to, for no copy of its host", async () => {
  const { database, store, restore } = await restorable();
  let before: Host["before"];
  await member(store, { bootId: "boot-1" }, (membership) => {
    before = { own: membership.own, store: membership.store };
    return Promise.resolve();
  });
  const kept = database.tables;
  // The grant to the second boot is lost before anybody has read it.
  let lost = false;
  const losing: Store = {
    ...store,
    async acquireLease(request) {
      const grant = await store.acquireLease(request);
      if (grant.how !== "asked" && !lost) {
        lost = true;
        restore(kept);
      }
      return grant;
    },
  };
  await member(
    losing,
    { bootId: "boot-2", ...(before && { before }) },
    async (membership, pass) => {
      await pass(10_000);
      const [row] = database.tables.living();
      assert.equal(row?.bootId, "boot-2", "the row is its own again");
      assert.equal(membership.takenOver, undefined);
      assert.equal(membership.own?.subnet, row.subnet);
    },
  );
  assert.ok(lost);
});

Deno.test("Membership tells of its address again where a store has lost it", async () => {
  const { database, store, restore } = await restorable();
  let address = "192.168.2.1";
  const losing: Store = {
    ...store,
    async renewLease(holder) {
      const kept = database.tables;
      const renewal = await store.renewLease(holder);
      if (lose) restore(kept);
      lose = false;
      return renewal;
    },
  };
  let lose = false;
  await member(losing, { bootId: "boot", address: () => address }, async (membership, pass) => {
    lose = true;
    address = "192.168.2.9";
    membership.refresh({ renew: true });
    await pass(10_000);
    assert.ok(!lose);
    assert.equal(database.tables.living()[0]!.publicIp, address);
    assert.equal(membership.takenOver, undefined);
  });
});

Deno.test("Membership renews at once where a store has lost its renewals, which raise no revision", async () => {
  const { database, store, restore } = await restorable();
  await member(store, { bootId: "boot" }, async (membership, pass) => {
    const kept = database.tables;
    const { expires } = kept.living()[0]!;
    membership.refresh({ renew: true });
    await pass(1000);
    assert.equal(membership.renewals, 1);
    assert.ok(database.tables.living()[0]!.expires > expires);
    restore(kept);
    await pass(1000);
    assert.equal(membership.renewals, 2);
    assert.ok(database.tables.living()[0]!.expires > expires);
    assert.equal(membership.health.state, "ok");
  });
});

Deno.test("Membership knows which store gave its lease, though it ends before it has read it; another one is different then", async () => {
  const { database, store } = await restorable();
  const silent: Store = {
    ...store,
    changesSince: () => Promise.reject(new StoreAwayError("no answer")),
  };
  let before: Host["before"];
  await member(silent, { bootId: "boot-1" }, (membership) => {
    before = { own: membership.own, store: membership.store };
    return Promise.resolve();
  });
  const { identity, epoch } = (await store.changesSince(0)).mark;
  assert.ok(before?.own);
  assert.deepEqual(before.store, { identity, epoch, revision: 0, rows: {} });
  await member(store, { bootId: "boot-1", before }, (membership) => {
    assert.deepEqual([membership.health.state, membership.store?.identity], ["ok", identity]);
    return Promise.resolve();
  });
  // Somebody has emptied the counters, and another host has made them anew.
  database.tables.counters.set("identity", identity + 1);
  await member(store, { bootId: "boot-1", before }, (membership) => {
    assert.equal(membership.health.state, "different");
    return Promise.resolve();
  });
});
