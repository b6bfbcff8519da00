import assert from "node:assert/strict";
import { routeOf } from "../../ffi/rtnl/route.ts";
import { KNET_PROTOCOL, type Scope } from "./kind.ts";
import { fdb, fdbEntry } from "./kinds/fdb.ts";
import { neighbour, permanentNeighbour } from "./kinds/neighbour.ts";
import { FIRST_NEXTHOP_ID, nexthop, onlinkNexthop } from "./kinds/nexthop.ts";
import { route } from "./kinds/route.ts";
import { sortEntries } from "./tables.ts";

const DEVICE = 7;
const SCOPE: Scope = { family: 4, device: DEVICE };
const hop = { ...onlinkNexthop(4, "10.244.1.0", DEVICE), id: FIRST_NEXTHOP_ID };

Deno.test("sortEntries() takes routes marked as knet's, and those that cannot be right as extra", () => {
  const good = routeOf({ dst: "10.244.1.0/24", protocol: KNET_PROTOCOL, gateway: "10.244.1.0" });
  const metric = { ...good, priority: 9 };
  const service = { ...good, tos: 16 };
  const again = { ...good, gateway: "10.244.9.0" };
  const blackhole = { ...good, dst: "10.244.2.0/24", type: 6 };
  const foreign = { ...good, dst: "10.244.3.0/24", protocol: 4 };
  const elsewhere = { ...good, dst: "10.244.4.0/24", table: 7 };
  const other = routeOf({ dst: "fd00:1::/64", protocol: KNET_PROTOCOL });
  const dump = [good, metric, service, again, blackhole, foreign, elsewhere, other];
  const table = sortEntries(route, dump, SCOPE);
  // A blackhole has a key: it is in the place of a route, which is written over it.
  assert.deepEqual([...table.entries.values()], [good, blackhole]);
  assert.deepEqual(table.extra, [metric, service, again]);
});

Deno.test("sortEntries() holds an IPv6 route with the kernel's metric for one without", () => {
  const good = routeOf({ dst: "fd00:1::/64", protocol: KNET_PROTOCOL, priority: 1024 });
  const other = { ...good, priority: 1 };
  const table = sortEntries(route, [good, other], { family: 6, device: DEVICE });
  assert.equal(table.entries.get("fd00:1::/64"), good);
  assert.deepEqual(table.extra, [other]);
});

Deno.test("sortEntries() tells next hops of ours from those whose ids are only taken", () => {
  const foreign = { ...hop, id: FIRST_NEXTHOP_ID + 1, protocol: 186 };
  const low = { ...hop, id: 5, protocol: 186 };
  const twin = { ...hop, id: FIRST_NEXTHOP_ID + 2 };
  const another = { ...hop, id: FIRST_NEXTHOP_ID + 3, ifindex: 99, gateway: "10.244.3.0" };
  const outside = { ...hop, id: 6, gateway: "10.244.4.0" };
  const table = sortEntries(nexthop, [hop, foreign, low, twin, another, outside], SCOPE);
  assert.deepEqual([...table.entries.values()], [hop]);
  // One on another device is another knet's.
  assert.deepEqual(table.extra, [twin, outside]);
  assert.deepEqual([...table.numbers.keys()], [0, 1, 2, 3].map((n) => FIRST_NEXTHOP_ID + n));
  assert.deepEqual([...table.numbers.values()], ["10.244.1.0", undefined, undefined, undefined]);
});

Deno.test("sortEntries() knows a next hop that was changed by its number", () => {
  const before = sortEntries(nexthop, [hop], SCOPE);
  const changes = [
    { ...hop, gateway: "10.9.9.9" },
    { ...hop, ifindex: 99 },
    { ...hop, protocol: 4 },
    { id: hop.id, family: 4 as const, protocol: KNET_PROTOCOL, onlink: false, flags: 0 },
  ];
  for (const changed of changes) {
    const table = sortEntries(nexthop, [changed], SCOPE, before);
    assert.deepEqual([...table.entries], [["10.244.1.0", changed]]);
    assert.equal(nexthop.same(hop, changed, undefined), false);
    assert.deepEqual([...table.numbers], [[hop.id, "10.244.1.0"]]);
  }
});

Deno.test("sortEntries() passes over the kernel's own neighbours and takes a second FDB entry as extra", () => {
  const known = permanentNeighbour(4, DEVICE, "10.244.1.0", "02:00:00:00:00:01");
  const multicast = { ...known, dst: "224.0.0.22", state: 0x40 };
  const entry = fdbEntry(DEVICE, "02:00:00:00:00:01", "192.168.2.1");
  const twin = { ...entry, dst: "192.168.2.2" };
  const neighbours = sortEntries(neighbour, [known, multicast], SCOPE);
  assert.deepEqual([...neighbours.entries.keys()], ["10.244.1.0"]);
  const table = sortEntries(fdb, [entry, twin], SCOPE);
  assert.deepEqual([...table.entries.values()], [entry]);
  assert.deepEqual(table.extra, [twin]);
});
