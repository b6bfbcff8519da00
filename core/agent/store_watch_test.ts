import assert from "node:assert/strict";
import { giveClock } from "../base/clock.ts";
import type { Changes, Store } from "../store/store.ts";
import { StoreWatch } from "./store_watch.ts";

Deno.test("StoreWatch.now is the store's clock, and goes on by the monotonic one when somebody sets this host's", () => {
  let wall = 1_000_000, monotonic = 50;
  using _given = giveClock({
    ...{ wall: () => wall, monotonic: () => monotonic, random: Math.random, uuid: () => "" },
    after: () => ({ cancel() {} }),
  });
  const store = { expect: () => {} } as unknown as Store;
  const watch = new StoreWatch(store, undefined, { member: false, lastGood: () => undefined });
  assert.equal(watch.now, 1_000_000);
  const mark = { identity: 1, epoch: 1, revision: 1 };
  const changes = { mark, now: 900_000, marks: [], whole: false, purged: 0, full: false };
  watch.take(
    {
      ...changes,
      revision: 1,
      leases: [],
      removed: [],
      services: [],
      removedServices: [],
    } as unknown as Changes,
  );
  assert.equal(watch.now, 900_000);
  wall += 2 * 86_400_000;
  monotonic += 10;
  assert.equal(watch.now, 900_010);
});
