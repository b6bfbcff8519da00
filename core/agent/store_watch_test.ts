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

Deno.test("StoreWatch counts rows seldom where the store tells of all that changes, and soon after it has told", async () => {
  let monotonic = 0;
  using _given = giveClock({
    ...{ wall: () => 0, monotonic: () => monotonic, random: Math.random, uuid: () => "" },
    after: () => ({ cancel() {} }),
  });
  const mark = { identity: 1, epoch: 1, revision: 1 };
  const empty = { leases: [], removed: [], services: [], removedServices: [], marks: [] };
  const asked: string[] = [];
  const watchOf = (engine: Store["engine"]) => {
    const store = {
      engine,
      expect: () => {},
      changesSince(_revision: number, compare: string) {
        asked.push(compare);
        return Promise.resolve({
          ...{ ...empty, mark, revision: 1, now: 0, whole: false, purged: 0, full: false },
          ...(compare !== "revision" && { tally: "0 0 0" }),
        } as unknown as Changes);
      },
    } as unknown as Store;
    const remembered = { ...mark, rows: {} };
    return new StoreWatch(store, remembered, { member: true, lastGood: () => undefined });
  };
  const read = async (watch: StoreWatch, at: number) => {
    monotonic = at;
    watch.take({ ...(await watch.read()).changes, full: asked.at(-1) === "rows" });
    return asked.at(-1);
  };
  const own = watchOf("dqlite");
  assert.equal(await read(own, 0), "rows");
  assert.equal(await read(own, 4000), "revision");
  assert.equal(own.due, 26_000);
  own.heard();
  assert.equal(await read(own, 4001), "tally");
  // All that it tells within three seconds is one count.
  own.heard();
  assert.equal(await read(own, 4002), "revision");
  assert.equal(await read(own, 7001), "tally");
  assert.equal(await read(own, 36_000), "revision");
  assert.equal(await read(own, 37_001), "tally");
  // What it tells while it is read may not be in what was read.
  const reading = own.read("tally");
  own.heard();
  own.take((await reading).changes);
  assert.equal(own.due, 3000);
  const postgres = watchOf("postgres");
  monotonic = 0;
  assert.equal(await read(postgres, 0), "rows");
  assert.equal(await read(postgres, 3000), "tally");
});
