import assert from "node:assert/strict";
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import { routeOf } from "../../ffi/rtnl/route.ts";
import { contradicts } from "./entry_drift.ts";
import { KNET_PROTOCOL, type Scope } from "./kind.ts";
import { fdb as fdbKind, fdbEntry } from "./kinds/fdb.ts";
import { KINDS } from "./kinds/kinds.ts";
import { neighbour as neighbourKind, permanentNeighbour } from "./kinds/neighbour.ts";
import { FIRST_NEXTHOP_ID, nexthop as nexthopKind, onlinkNexthop } from "./kinds/nexthop.ts";
import { route as routeKind } from "./kinds/route.ts";
import { sortEntries, Tables } from "./tables.ts";

const DEVICE = 7;
const SCOPE: Scope = { family: 4, device: DEVICE };
const route = routeOf({
  dst: "10.244.1.0/24",
  nexthopId: FIRST_NEXTHOP_ID,
  protocol: KNET_PROTOCOL,
  scope: 0,
});
const nexthop = { ...onlinkNexthop(4, "10.244.1.0", DEVICE), id: FIRST_NEXTHOP_ID };
const neighbour = permanentNeighbour(4, DEVICE, "10.244.1.0", "02:00:00:00:00:01");
const fdb = fdbEntry(DEVICE, "02:00:00:00:00:01", "192.168.2.1");

function tables(): Tables {
  const tables = new Tables();
  tables.set(routeKind, sortEntries(routeKind, [route], SCOPE));
  tables.set(nexthopKind, sortEntries(nexthopKind, [nexthop], SCOPE));
  tables.set(neighbourKind, sortEntries(neighbourKind, [neighbour], SCOPE));
  tables.set(fdbKind, sortEntries(fdbKind, [fdb], SCOPE));
  return tables;
}

const drift = (kind: RtnlEvent["kind"], value: object, deleted = false) =>
  contradicts(KINDS, { kind, value, deleted, pid: 0 } as RtnlEvent, tables(), SCOPE);

Deno.test("contradicts() takes every deletion of what knet believes in", () => {
  assert.equal(drift("route", route, true), true);
  assert.equal(drift("nexthop", nexthop, true), true);
  assert.equal(drift("neighbour", neighbour, true), true);
  assert.equal(drift("fdb", fdb, true), true);
});

Deno.test("contradicts() is not moved by an entry that says what knet believes", () => {
  // The kernel shows gateway and device of the next hop with its route.
  const shown = { ...route, gateway: "10.244.1.0", ifindex: DEVICE, onlink: true };
  assert.equal(drift("route", shown), false);
  assert.equal(drift("nexthop", nexthop), false);
  assert.equal(drift("neighbour", neighbour), false);
  assert.equal(drift("fdb", fdb), false);
});

Deno.test("contradicts() sees each attribute that knet sets", () => {
  const changes: [RtnlEvent["kind"], object, readonly object[]][] = [
    ["route", route, [
      { nexthopId: 1 },
      { nexthopId: undefined, gateway: "10.9.9.9" },
      { type: 6 },
      { scope: 253 },
      { prefSrc: "10.244.0.1" },
      { metrics: true },
    ]],
    ["nexthop", nexthop, [
      { ifindex: 9 },
      { gateway: "10.9.9.9" },
      { onlink: false },
      { protocol: 4 },
      { gateway: undefined, ifindex: undefined, blackhole: true },
    ]],
    ["neighbour", neighbour, [{ mac: "02:9::" }, { mac: undefined }, { state: 0x20 }]],
    ["fdb", fdb, [
      { dst: "192.168.2.9" },
      { dst: undefined },
      { port: 4789 },
      { vni: 9 },
      { via: 3 },
      { state: 0x40 },
    ]],
  ];
  for (const [kind, value, changed] of changes) {
    for (const change of changed) {
      assert.equal(drift(kind, { ...value, ...change }), true, JSON.stringify([kind, change]));
    }
  }
});

Deno.test("contradicts() takes an entry of ours that nobody wants", () => {
  assert.equal(drift("route", { ...route, dst: "10.244.9.0/24" }), true);
  assert.equal(drift("route", { ...route, priority: 9 }), true);
  assert.equal(drift("nexthop", { ...nexthop, id: 1, gateway: "10.9.9.9" }), true);
  assert.equal(drift("neighbour", { ...neighbour, dst: "10.1.1.1" }), true);
  assert.equal(drift("fdb", { ...fdb, mac: "02:9::" }), true);
});

Deno.test("contradicts() leaves what belongs to others alone", () => {
  const foreign = { ...route, protocol: 186, dst: "10.99.0.0/16" };
  assert.equal(drift("route", foreign), false);
  assert.equal(drift("route", foreign, true), false);
  assert.equal(drift("route", { ...route, table: 7 }, true), false);
  assert.equal(drift("nexthop", { ...nexthop, id: 9, protocol: 186, gateway: "10.9.9.9" }), false);
  const unknown = { ...nexthop, id: FIRST_NEXTHOP_ID + 9, gateway: "10.244.9.0" };
  assert.equal(drift("nexthop", unknown, true), false);
  assert.equal(drift("neighbour", { ...neighbour, ifindex: 2 }, true), false);
  assert.equal(drift("fdb", { ...fdb, ifindex: 9, mac: "02:9::" }, true), false);
});

Deno.test("contradicts() passes over neighbours that the kernel makes and ages by itself", () => {
  assert.equal(drift("neighbour", { ...neighbour, dst: "10.244.0.9", state: 0x01 }), false);
  assert.equal(drift("neighbour", { ...neighbour, dst: "10.244.0.9", state: 0x20 }, true), false);
});

Deno.test("contradicts() notices a route of ours that somebody else replaced", () => {
  const theirs = { ...routeOf({ dst: route.dst, gateway: "192.168.2.254" }), protocol: 3 };
  assert.equal(drift("route", theirs), true);
  assert.equal(drift("route", { ...theirs, priority: 100 }), false, "beside ours");
});

Deno.test("contradicts() takes an FDB entry deleted with its old destination for the replacement it is", () => {
  assert.equal(drift("fdb", { ...fdb, dst: "192.168.2.99" }, true), false);
});
