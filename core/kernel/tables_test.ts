import assert from "node:assert/strict";
import { routeOf } from "../../ffi/rtnl/route.ts";
import {
  emptyDesired,
  FIRST_NEXTHOP_ID,
  KNET_PROTOCOL,
  nothingTouched,
  type PeerEntries,
  sortTables,
  unwant,
  want,
} from "./tables.ts";

const NOTHING = { routes: [], nexthops: [], neighbours: [], fdb: [] };
const DEVICE = 7;

function peer(n: number, gateway = `10.244.${n}.0`): PeerEntries {
  const mac = `02:00:00:00:00:0${n}`;
  return {
    route: {
      family: 4,
      dst: `10.244.${n}.0/24`,
      gateway,
      ifindex: DEVICE,
      onlink: true,
      byNexthop: true,
    },
    neighbour: { family: 4, ifindex: DEVICE, dst: gateway, mac },
    fdb: { ifindex: DEVICE, mac, dst: `192.168.2.${n}` },
  };
}

Deno.test("want() and unwant() undo each other and note all keys", () => {
  const desired = emptyDesired();
  const entries = peer(1);
  const coming = nothingTouched();
  want(desired, entries, coming);
  assert.deepEqual([...desired.routes.keys()], ["10.244.1.0/24"]);
  assert.deepEqual([...desired.gateways], [["10.244.1.0", 1]]);
  const going = nothingTouched();
  unwant(desired, entries, going);
  assert.deepEqual(desired, emptyDesired());
  assert.deepEqual(going, coming);
  assert.deepEqual([...going.fdb], ["02:00:00:00:00:01"]);
});

Deno.test("want() counts the routes of a gateway, so that the last one takes the next hop along", () => {
  const desired = emptyDesired();
  const a = peer(1, "10.9.9.9");
  const b = peer(2, "10.9.9.9");
  want(desired, a);
  want(desired, b);
  assert.equal(desired.gateways.get("10.9.9.9"), 2);
  unwant(desired, { route: a.route! });
  assert.equal(desired.gateways.get("10.9.9.9"), 1);
  unwant(desired, { route: b.route! });
  assert.equal(desired.gateways.size, 0);
});

Deno.test("unwant() leaves what belongs to another peer by now", () => {
  const desired = emptyDesired();
  const old = peer(1);
  const next = { ...peer(1), fdb: { ...peer(1).fdb!, dst: "192.168.2.99" } };
  want(desired, old);
  want(desired, next);
  unwant(desired, old);
  assert.equal(desired.fdb.get("02:00:00:00:00:01")?.dst, "192.168.2.99");
  assert.equal(desired.routes.size, 1);
  assert.equal(desired.gateways.get("10.244.1.0"), 1);
});

Deno.test("want() forgets the gateway of the route that it replaces", () => {
  const desired = emptyDesired();
  want(desired, peer(1));
  const touched = nothingTouched();
  want(desired, { route: { ...peer(1).route!, gateway: "10.9.9.9" } }, touched);
  assert.deepEqual([...desired.gateways], [["10.9.9.9", 1]]);
  assert.deepEqual([...touched.gateways].sort(), ["10.244.1.0", "10.9.9.9"]);
});

Deno.test("sortTables() takes routes marked as knet's, and those that cannot be right as extra", () => {
  const good = routeOf({ dst: "10.244.1.0/24", protocol: KNET_PROTOCOL, gateway: "10.244.1.0" });
  const metric = { ...good, priority: 9 };
  const again = { ...good, gateway: "10.244.9.0" };
  const blackhole = { ...good, dst: "10.244.2.0/24", type: 6 };
  const foreign = { ...good, dst: "10.244.3.0/24", protocol: 4 };
  const elsewhere = { ...good, dst: "10.244.4.0/24", table: 7 };
  const tables = sortTables({
    ...NOTHING,
    routes: [good, metric, again, blackhole, foreign, elsewhere],
  }, DEVICE);
  assert.deepEqual([...tables.routes.values()], [good]);
  assert.deepEqual(tables.extra.routes, [metric, again, blackhole]);
});

Deno.test("sortTables() holds an IPv6 route with the kernel's metric for one without", () => {
  const good = routeOf({ dst: "fd00:1::/64", protocol: KNET_PROTOCOL, priority: 1024 });
  const other = { ...good, priority: 1 };
  const tables = sortTables({ ...NOTHING, routes: [good, other] }, DEVICE);
  assert.equal(tables.routes.get("fd00:1::/64"), good);
  assert.deepEqual(tables.extra.routes, [other]);
});

Deno.test("sortTables() tells next hops of ours from those whose ids are only taken", () => {
  const hop = {
    id: FIRST_NEXTHOP_ID,
    family: 4 as const,
    gateway: "10.244.1.0",
    ifindex: DEVICE,
    protocol: KNET_PROTOCOL,
    onlink: true,
    flags: 0,
  };
  const foreign = { ...hop, id: FIRST_NEXTHOP_ID + 1, protocol: 186 };
  const low = { ...hop, id: 5, protocol: 186 };
  const twin = { ...hop, id: FIRST_NEXTHOP_ID + 2 };
  const stray = { ...hop, id: FIRST_NEXTHOP_ID + 3, ifindex: 99, gateway: "10.244.3.0" };
  const outside = { ...hop, id: 6, gateway: "10.244.4.0" };
  const tables = sortTables({
    ...NOTHING,
    nexthops: [hop, foreign, low, twin, stray, outside],
  }, DEVICE);
  assert.deepEqual([...tables.nexthops.values()], [hop]);
  assert.deepEqual(tables.extra.nexthops, [twin, stray, outside]);
  assert.deepEqual([...tables.takenIds], [0, 1, 2, 3].map((n) => FIRST_NEXTHOP_ID + n));
});

Deno.test("sortTables() passes over the kernel's own neighbours and takes a second FDB entry as extra", () => {
  const neighbour = {
    family: 4 as const,
    ifindex: DEVICE,
    dst: "10.244.1.0",
    state: 0x80,
    flags: 0,
  };
  const multicast = { ...neighbour, dst: "224.0.0.22", state: 0x40 };
  const entry = {
    ifindex: DEVICE,
    mac: "02:00:00:00:00:01",
    dst: "192.168.2.1",
    state: 0xc0,
    flags: 2,
  };
  const twin = { ...entry, dst: "192.168.2.2" };
  const tables = sortTables({
    ...NOTHING,
    neighbours: [neighbour, multicast],
    fdb: [entry, twin],
  }, DEVICE);
  assert.deepEqual([...tables.neighbours.keys()], ["10.244.1.0"]);
  assert.deepEqual([...tables.fdb.values()], [entry]);
  assert.deepEqual(tables.extra.fdb, [twin]);
});
