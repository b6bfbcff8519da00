// Longer than others: all plans are compared over the same few peers and one model of the kernel.
import assert from "node:assert/strict";
import fc from "fast-check";
import { is, ModelKernel } from "../../tests/support/model_kernel.ts";
import type { Nexthop } from "../../ffi/rtnl/nexthop.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import { type Claim, type Kind, type Wish, wish } from "./kind.ts";
import { fdb, fdbEntry } from "./kinds/fdb.ts";
import { KINDS } from "./kinds/kinds.ts";
import { neighbour, permanentNeighbour } from "./kinds/neighbour.ts";
import { FIRST_NEXTHOP_ID, nexthop, onlinkNexthop } from "./kinds/nexthop.ts";
import { knetRoute, route } from "./kinds/route.ts";
import { advance, type Operation, plan } from "./plan.ts";
import { Tables } from "./tables.ts";
import { Touched, Wishes } from "./wishes.ts";

const DEVICE = 7;

interface Peer {
  /** Its subnet is 10.244.N.0/24 or fd00:N::/64. */
  readonly n: number;
  /** Its MAC address. */
  readonly m: number;
  /** The last byte of its public address. */
  readonly p: number;
}

const CLAIM: Claim = { since: 0, owner: "a" };

function entriesOf({ n, m, p }: Peer, of: 4 | 6 = 4): Wish[] {
  const gateway = of === 4 ? `10.244.${n}.0` : `fd00:0:0:${n}::`;
  const mac = `02:00:00:00:00:${m.toString(16).padStart(2, "0")}`;
  const dst = `${gateway}/${of === 4 ? 24 : 64}`;
  return [
    wish(fdb, fdbEntry(DEVICE, mac, `192.168.2.${p}`), CLAIM),
    wish(neighbour, permanentNeighbour(of, DEVICE, gateway, mac), CLAIM),
    wish(nexthop, onlinkNexthop(of, gateway, DEVICE), CLAIM),
    wish(route, knetRoute({ family: of, dst, gateway, ifindex: DEVICE, onlink: true }), CLAIM),
  ];
}

type Means = readonly Kind[];
/** Kinds that are not used. */
const OBJECTS: Means = [];
const PLAIN: Means = [nexthop as Kind];

function wishesOf(peers: readonly Peer[], without: Means, of: 4 | 6 = 4): Wishes {
  const wishes = new Wishes(without);
  for (const peer of peers) wishes.add(entriesOf(peer, of));
  return wishes;
}

const words = (operations: readonly Operation[]) =>
  operations.map(({ verb, kind }) => `${verb} ${kind.name}`);

/** A kernel that holds what these peers need. */
function programmed(peers: readonly Peer[], without = OBJECTS, of: 4 | 6 = 4): ModelKernel {
  const kernel = new ModelKernel();
  const operations = plan(wishesOf(peers, without, of), new Tables(), KINDS);
  for (const operation of operations) kernel.do(operation);
  return kernel;
}

const one: Peer = { n: 1, m: 1, p: 1 };
const two: Peer = { n: 2, m: 2, p: 2 };

Deno.test("plan() puts neighbour and FDB entry before the next hop, and that before the route", () => {
  const operations = plan(wishesOf([one], OBJECTS), new Tables(), KINDS);
  assert.deepEqual(words(operations), [
    "add fdb",
    "replace neighbour",
    "add nexthop",
    "add route",
  ]);
  const hop = operations[2]!.value as Nexthop;
  const way = operations[3]!.value as Route;
  assert.equal(hop.id, FIRST_NEXTHOP_ID);
  assert.equal(hop.protocol, 107);
  assert.equal(way.nexthopId, hop.id);
  assert.equal(way.gateway, undefined, "a route by a next hop names no gateway");
});

Deno.test("plan() removes the route before its next hop, neighbour and FDB entry", () => {
  const operations = plan(new Wishes(), programmed([one]).read(DEVICE), KINDS);
  assert.deepEqual(words(operations), [
    "delete route",
    "delete nexthop",
    "delete neighbour",
    "delete fdb",
  ]);
});

Deno.test("plan() has nothing to do where all is as it should be", () => {
  for (const without of [OBJECTS, PLAIN]) {
    for (const family of [4, 6] as const) {
      const tables = programmed([one, two], without, family).read(DEVICE, family);
      assert.deepEqual(plan(wishesOf([one, two], without, family), tables, KINDS), []);
    }
  }
});

Deno.test("plan() mends what is missing and nothing else", () => {
  for (const kind of ["routes", "neighbours", "fdb"] as const) {
    const kernel = programmed([one, two]);
    kernel[kind].shift();
    const operations = plan(wishesOf([one, two], OBJECTS), kernel.read(DEVICE), KINDS);
    assert.deepEqual(operations.map((operation) => operation.kind.name), [
      kind === "fdb" ? kind : kind.slice(0, -1),
    ]);
  }
});

Deno.test("plan() leads an entry to its new place without taking the route away", () => {
  const kernel = programmed([one]);
  const moved = plan(wishesOf([{ ...one, p: 9 }], OBJECTS), kernel.read(DEVICE), KINDS);
  assert.deepEqual(words(moved), ["replace fdb"]);
  const remade = plan(wishesOf([{ ...one, m: 9 }], OBJECTS), kernel.read(DEVICE), KINDS);
  assert.deepEqual(words(remade), ["add fdb", "replace neighbour", "delete fdb"]);
});

Deno.test("plan() writes plain routes where there shall be no next-hop objects, and takes the objects away", () => {
  const fresh = plan(wishesOf([one], PLAIN), new Tables(), KINDS);
  assert.ok(fresh.every((operation) => !is(operation, nexthop)));
  const way = fresh.at(-1)!.value as Route;
  assert.equal(way.gateway, "10.244.1.0");
  assert.equal(way.onlink, true);
  const fallback = plan(wishesOf([one], PLAIN), programmed([one]).read(DEVICE), KINDS);
  assert.deepEqual(words(fallback), ["replace route", "delete nexthop"]);
});

Deno.test("plan() writes a plain route where the backend wants one", () => {
  const wishes = new Wishes();
  const target = { family: 4, dst: "10.244.1.0/24", gateway: "192.168.2.9" } as const;
  wishes.add([wish(route, knetRoute({ ...target, ifindex: 2, onlink: false }), CLAIM)]);
  assert.deepEqual(words(plan(wishes, new Tables(), KINDS)), ["add route"]);
});

Deno.test("plan() passes over next-hop ids that others hold", () => {
  const tables = new Tables();
  for (const n of [0, 1, 3]) tables.of(nexthop).numbers.set(FIRST_NEXTHOP_ID + n, undefined);
  const ids = plan(wishesOf([one, two], OBJECTS), tables, KINDS)
    .flatMap((operation) => is(operation, nexthop) ? [operation.value.id] : []);
  assert.deepEqual(ids, [FIRST_NEXTHOP_ID + 2, FIRST_NEXTHOP_ID + 4]);
});

Deno.test("plan() adds a new route rather than overwrite what may be somebody else's", () => {
  const last = plan(wishesOf([one], OBJECTS), new Tables(), KINDS).at(-1)!;
  assert.deepEqual([last.kind.name, last.verb], ["route", "add"]);
});

Deno.test("plan() looks only at what was touched", () => {
  const kernel = programmed([one, two]);
  kernel.routes = [];
  const wishes = wishesOf([one, two], OBJECTS);
  const touched = new Touched();
  touched.add(route as Kind, "10.244.2.0/24");
  const operations = plan(wishes, kernel.read(DEVICE), KINDS, { touched });
  assert.deepEqual(words(operations), ["add route"]);
  assert.deepEqual(plan(wishes, kernel.read(DEVICE), KINDS, { touched: new Touched() }), []);
});

Deno.test("plan() leaves what nobody wishes for where the wishes are not known to be all, and mends the rest", () => {
  const kernel = programmed([one, two]);
  const moved = { ...one, m: 77 };
  const keep = plan(wishesOf([moved], OBJECTS), kernel.read(DEVICE), KINDS, { keep: true });
  assert.ok(keep.length > 0 && keep.every(({ verb }) => verb !== "delete"), words(keep).join());
  const all = plan(wishesOf([moved], OBJECTS), kernel.read(DEVICE), KINDS);
  // The four of the other peer, and the forwarding entry of the MAC address before.
  assert.equal(all.filter(({ verb }) => verb === "delete").length, 5);
  // Of two with one key the wrong one goes all the same.
  const [right] = programmed([one]).routes;
  const wrong = knetRoute({
    ...{ family: 4, dst: right!.dst, gateway: "10.244.9.0", ifindex: DEVICE, onlink: true },
  });
  const doubled = programmed([one]);
  doubled.routes = [wrong, right!];
  const mended = plan(wishesOf([one], OBJECTS), doubled.read(DEVICE), KINDS, { keep: true });
  assert.deepEqual(mended.map(({ verb, value }) => [verb, value]), [["delete", wrong]]);
});

Deno.test("plan() lets the right one of two entries with one key stay", () => {
  const kernel = programmed([one]);
  const [right] = kernel.routes;
  const wrong = knetRoute({
    ...{ family: 4, dst: right!.dst, gateway: "10.244.9.0", ifindex: DEVICE, onlink: true },
  });
  kernel.routes = [wrong, right!];
  const operations = plan(wishesOf([one], OBJECTS), kernel.read(DEVICE), KINDS);
  assert.deepEqual(operations.map(({ verb, value }) => [verb, value]), [["delete", wrong]]);
});

const peer: fc.Arbitrary<Peer> = fc.record({
  n: fc.integer({ min: 1, max: 6 }),
  m: fc.integer({ min: 1, max: 8 }),
  p: fc.integer({ min: 1, max: 4 }),
});
/** Peers as a cluster has them: neither two of one subnet nor two of one MAC address. */
const peers = fc.uniqueArray(peer, {
  maxLength: 6,
  comparator: (a, b) => a.n === b.n || a.m === b.m,
});

/** What a kernel may hold: what other peers needed, with entries lost, doubled and foreign. */
const kernel = fc.record({
  before: peers,
  plain: fc.boolean(),
  lost: fc.array(fc.tuple(fc.constantFrom("routes", "nexthops", "neighbours", "fdb"), fc.nat(5))),
  doubled: fc.array(peer, { maxLength: 2 }),
  foreign: fc.array(fc.nat(8), { maxLength: 3 }),
}).map(({ before, plain, lost, doubled, foreign }) => {
  const made = new ModelKernel();
  for (const n of new Set(foreign)) {
    const id = FIRST_NEXTHOP_ID + n;
    made.nexthops.push({
      id,
      family: 4,
      gateway: "192.168.2.254",
      protocol: 186,
      onlink: false,
      flags: 0,
    });
  }
  const operations = plan(wishesOf(before, plain ? PLAIN : OBJECTS), made.read(DEVICE), KINDS);
  for (const operation of operations) made.do(operation);
  for (const [kind, index] of lost) {
    const table: { id?: number; protocol?: number }[] = made[kind as "routes"];
    const [gone] = table.splice(index, 1);
    if (kind !== "nexthops" || gone === undefined) continue;
    if (gone.protocol === 186) made.nexthops.push(gone as ModelKernel["nexthops"][number]);
    else made.routes = made.routes.filter((route) => route.nexthopId !== gone.id);
  }
  for (const { n, m } of doubled) {
    const gateway = `10.244.${n}.0`;
    const target = { family: 4, dst: `${gateway}/24`, gateway, ifindex: DEVICE } as const;
    made.routes = made.routes.filter((r) => r.dst !== target.dst || !r.priority);
    made.routes.push({ ...knetRoute({ ...target, onlink: true }), priority: m });
    const id = FIRST_NEXTHOP_ID + 100 + m;
    if (made.nexthops.some((hop) => hop.id === id)) continue;
    made.nexthops.push({ ...onlinkNexthop(4, gateway, DEVICE), id });
  }
  return made;
});

/** Carries a plan out step by step; no route may lose its way, none come before its way is there. */
function carryOut(kernel: ModelKernel, operations: readonly Operation[]): void {
  let before = kernel.whole(DEVICE);
  for (const [index, operation] of operations.entries()) {
    kernel.do(operation);
    const now = kernel.whole(DEVICE);
    const present = new Set(kernel.routes.map((route) => `${route.dst} ${route.priority ?? 0}`));
    const place = `operation ${index} of ${words(operations).join(", ")}`;
    for (const route of before) {
      assert.ok(now.has(route) || !present.has(route), `a hole on the way to ${route}: ${place}`);
    }
    if (is(operation, route) && operation.verb !== "delete") {
      assert.ok(now.has(`${operation.value.dst} 0`), `a route before its way is there: ${place}`);
    }
    before = now;
  }
}

Deno.test("plan() leads from any state to the one desired, without a hole at any moment", () => {
  fc.assert(
    fc.property(kernel, peers, fc.boolean(), (kernel, wanted, plainRoutes) => {
      const wishes = wishesOf(wanted, plainRoutes ? PLAIN : OBJECTS);
      const foreign = kernel.nexthops.filter((hop) => hop.protocol === 186);
      carryOut(kernel, plan(wishes, kernel.read(DEVICE), KINDS));
      const tables = kernel.read(DEVICE);
      assert.deepEqual(plan(wishes, tables, KINDS), [], "a second plan is empty");
      for (const kind of KINDS) {
        const { entries, extra } = tables.of(kind);
        assert.deepEqual([...entries.keys()].sort(), [...wishes.of(kind).keys()].sort());
        assert.deepEqual(extra, []);
      }
      assert.equal(tables.of(nexthop).entries.size, plainRoutes ? 0 : wanted.length);
      assert.deepEqual(kernel.nexthops.filter((hop) => hop.protocol === 186), foreign);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("plan() of touched keys does what a whole plan does, and advance() foretells the tables", () => {
  const events = fc.array(fc.tuple(peer, fc.boolean()), { maxLength: 12 });
  fc.assert(
    fc.property(peers, events, fc.boolean(), (start, events, plainRoutes) => {
      const without = plainRoutes ? PLAIN : OBJECTS;
      const kernel = programmed(start, without);
      const mirror: Tables = kernel.read(DEVICE);
      const wishes = new Wishes(without);
      const held = new Map(start.map((peer) => [peer.n, { peer, entries: entriesOf(peer) }]));
      for (const { entries } of held.values()) wishes.add(entries);
      for (const [peer, leaves] of events) {
        const touched = new Touched();
        const old = held.get(peer.n);
        held.delete(peer.n);
        if (old !== undefined) wishes.remove(old.entries, touched);
        const clash = [...held.values()].some((other) => other.peer.m === peer.m);
        if (!leaves && !clash) {
          const entries = entriesOf(peer);
          held.set(peer.n, { peer, entries });
          wishes.add(entries, touched);
        }
        const operations = plan(wishes, mirror, KINDS, { touched });
        carryOut(kernel, operations);
        for (const operation of operations) advance(mirror, operation);
        const now = kernel.read(DEVICE);
        assert.deepEqual(plan(wishes, now, KINDS), []);
        assert.deepEqual(plan(wishes, mirror, KINDS), []);
        for (const kind of KINDS) assert.deepEqual(mirror.of(kind), now.of(kind), kind.name);
      }
    }),
    { numRuns: 500 },
  );
});
