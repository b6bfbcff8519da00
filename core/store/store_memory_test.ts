import assert from "node:assert/strict";
import { service } from "../../tests/support/services.ts";
import type { Lease } from "../cluster/lease.ts";
import { CONFIG_KEY, leaseKey, serviceKey, tallyOf } from "./row_marks.ts";
import { StoreMemory } from "./store_memory.ts";
import type { Changes } from "./store.ts";

/** A store in a few words: revisions of leases by node, and of services by name. */
interface Held {
  identity?: number;
  epoch?: number;
  revision: number;
  config?: number;
  leases?: Record<string, number>;
  services?: Record<string, number>;
  /** Rows that make no sense. */
  bad?: Record<string, number>;
  /** Tombstones. */
  gone?: Record<string, number>;
  purged?: number;
}

const rowsOf = ({ leases = {}, services = {}, bad = {}, config = 1 }: Held) => [
  ...Object.entries({ ...leases, ...bad }).map(([node, n]) => [leaseKey(node, 4), n] as const),
  ...Object.entries(services).map(([name, n]) => [serviceKey(name), n] as const),
  ...(config > 0 ? [[CONFIG_KEY, config] as const] : []),
];

/** What reading it gives. */
function reading(held: Held, since = 0, compare: "revision" | "tally" | "rows" = "rows"): Changes {
  const whole = compare === "rows";
  const full = whole || since === 0;
  const named = (rows: Record<string, number> = {}) =>
    Object.entries(rows).filter(([, revision]) => full || revision > since).map(([name]) => name);
  return {
    mark: { identity: held.identity ?? 7, epoch: held.epoch ?? 1, revision: held.revision },
    revision: held.revision,
    ...{ whole, full, settling: 0, now: 0, purged: held.purged ?? 0 },
    ...(compare !== "revision" && { tally: tallyOf(rowsOf(held).map(([, revision]) => revision)) }),
    marks: [
      ...rowsOf(held).filter(([, revision]) => full || revision > since)
        .map(([key, revision]) => ({ key, revision, gone: false })),
      ...Object.entries(held.gone ?? {}).map(([node, revision]) => ({
        ...{ key: leaseKey(node, 4), revision, gone: true },
      })),
    ],
    ...(held.config === 0 && full && { config: null }),
    leases: named(held.leases).map((nodeId) => ({ nodeId, family: 4 }) as Lease),
    services: named(held.services).map((name) => service(name)),
    ...{ removed: [], removedServices: [], problems: [] },
  };
}

function knowing(held: Held): StoreMemory {
  const memory = new StoreMemory();
  memory.take(reading(held));
  return new StoreMemory(memory.remembered);
}

const before: Held = {
  revision: 5,
  leases: { a: 2, b: 3, c: 5 },
  services: { web: 4 },
};

Deno.test("StoreMemory takes what a store does by itself for the same store", () => {
  const states: Held[] = [
    before,
    { ...before, revision: 6, leases: { ...before.leases, d: 6 } },
    { ...before, revision: 6, leases: { a: 2, b: 6, c: 5 } },
    { ...before, revision: 7, leases: { a: 2, c: 5 }, gone: { b: 7 } },
    { ...before, revision: 9, leases: { c: 5 }, purged: 8 },
  ];
  for (const held of states) {
    assert.deepEqual(knowing(before).judge(reading(held)), { state: "same" }, JSON.stringify(held));
  }
});

Deno.test("StoreMemory tells another store from the one it knows", () => {
  const states: [Held, RegExp][] = [
    [{ ...before, identity: 8 }, /another one/],
    [{ ...before, identity: 0 }, /lost its identity/],
    [{ identity: 0, epoch: 0, revision: 0, config: 0 }, /it is empty/],
    [{ ...before, epoch: 0 }, /epoch 0, this host knows 1/],
    [{ ...before, revision: 4 }, /went back from 5 to 4/],
    [{ ...before, config: 0 }, /configuration is gone/],
    [{ ...before, leases: { a: 2, b: 3 } }, /gone .*lease of node c/],
    [{ ...before, revision: 6, leases: { a: 2, b: 3, x: 6 } }, /gone .*lease of node c/],
    [{ ...before, services: {} }, /gone .*service "web"/],
    [{ ...before, leases: { a: 2, b: 3, c: 4 } }, /went back: lease of node c/],
    [{ ...before, leases: { ...before.leases, left: 1 } }, /were not: lease of node left/],
  ];
  for (const [held, what] of states) {
    const verdict = knowing(before).judge(reading(held));
    assert.equal(verdict.state, "different", JSON.stringify(held));
    assert.match((verdict as { what: string }).what, what);
  }
});

Deno.test("StoreMemory looks closer where the revision fits and the rows do not", () => {
  const lost: Held = { revision: 5, leases: { a: 2, b: 3, x: 5 }, services: { web: 4 } };
  const memory = knowing(before);
  assert.deepEqual(memory.judge(reading(lost, 5, "revision")), { state: "same" });
  // As many rows, of revisions with the same sum: no count tells that, but the names do.
  assert.deepEqual(memory.judge(reading(lost, 5, "tally")), { state: "same" });
  assert.equal(memory.judge(reading(lost, 5, "rows")).state, "different");
  const emptied: Held = { revision: 5, leases: {}, services: { web: 4 } };
  assert.deepEqual(memory.judge(reading(emptied, 5, "tally")), { state: "look" });
  const more: Held = { ...before, revision: 6, leases: { ...before.leases, d: 6 } };
  assert.deepEqual(memory.judge(reading(more, 5, "tally")), { state: "same" });
});

Deno.test("StoreMemory holds nothing against rows that make no sense, nor against their going", () => {
  const memory = knowing(before);
  const bad: Held = { ...before, bad: { x: 1 } };
  assert.deepEqual(memory.judge(reading(bad)), { state: "same" });
  memory.take(reading(bad));
  assert.deepEqual(memory.judge(reading(bad, 5, "tally")), { state: "same" });
  assert.deepEqual(memory.judge(reading(before, 5, "tally")), { state: "look" });
  assert.deepEqual(memory.judge(reading(before)), { state: "same" });
  const ruined: Held = { ...before, leases: { a: 2, b: 3 }, bad: { c: 5 } };
  assert.deepEqual(memory.judge(reading(ruined)), { state: "same" });
});

Deno.test("StoreMemory takes a later epoch for the administrator's word", () => {
  const adopted: Held = { epoch: 2, revision: 1, leases: { z: 1 } };
  assert.deepEqual(knowing(before).judge(reading(adopted)), { state: "adopted" });
  assert.equal(knowing(before).judge(reading({ ...adopted, identity: 9 })).state, "different");
  // An older knet's store that gets an identity is no other one.
  const old = knowing({ ...before, identity: 0, epoch: 0 });
  assert.deepEqual(old.judge(reading(before)), { state: "same" });
});

Deno.test("StoreMemory knows nothing of a store before it has read it, but that a member's has a configuration", () => {
  assert.deepEqual(new StoreMemory().judge(reading({ revision: 0, config: 0 })), { state: "same" });
  const member = new StoreMemory(undefined, true);
  assert.equal(member.judge(reading({ revision: 0, config: 0 })).state, "different");
  assert.deepEqual(member.judge(reading(before)), { state: "same" });
});
