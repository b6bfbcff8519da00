import assert from "node:assert/strict";
import fc from "fast-check";
import { ModelKernel } from "../../tests/support/model_kernel.ts";
import { advance, type Operation, plan } from "./plan.ts";
import {
  type Desired,
  emptyDesired,
  emptyTables,
  FIRST_NEXTHOP_ID,
  nothingTouched,
  type PeerEntries,
  type Tables,
  unwant,
  want,
} from "./tables.ts";

const DEVICE = 7;

interface Peer {
  /** Its subnet is 10.244.N.0/24 or fd00:N::/64. */
  readonly n: number;
  /** Its MAC address. */
  readonly m: number;
  /** The last byte of its public address. */
  readonly p: number;
}

function entriesOf({ n, m, p }: Peer, of: 4 | 6 = 4): PeerEntries {
  const gateway = of === 4 ? `10.244.${n}.0` : `fd00:0:0:${n}::`;
  const mac = `02:00:00:00:00:${m.toString(16).padStart(2, "0")}`;
  return {
    route: {
      family: of,
      dst: `${gateway}/${of === 4 ? 24 : 64}`,
      gateway,
      ifindex: DEVICE,
      onlink: true,
      byNexthop: true,
    },
    neighbour: { family: of, ifindex: DEVICE, dst: gateway, mac },
    fdb: { ifindex: DEVICE, mac, dst: `192.168.2.${p}` },
  };
}

function desiredOf(peers: readonly Peer[], of: 4 | 6 = 4): Desired {
  const desired = emptyDesired();
  for (const peer of peers) want(desired, entriesOf(peer, of));
  return desired;
}

const OBJECTS = { nexthopObjects: true };
const PLAIN = { nexthopObjects: false };
const words = (operations: readonly Operation[]) =>
  operations.map(({ verb, kind }) => `${verb} ${kind}`);

/** A kernel that holds what these peers need. */
function programmed(peers: readonly Peer[], options = OBJECTS, of: 4 | 6 = 4): ModelKernel {
  const kernel = new ModelKernel();
  for (const operation of plan(desiredOf(peers, of), emptyTables(), options)) kernel.do(operation);
  return kernel;
}

const one: Peer = { n: 1, m: 1, p: 1 };
const two: Peer = { n: 2, m: 2, p: 2 };

Deno.test("plan() puts neighbour and FDB entry before the next hop, and that before the route", () => {
  const operations = plan(desiredOf([one]), emptyTables(), OBJECTS);
  assert.deepEqual(words(operations).slice(0, 2).sort(), ["add fdb", "replace neighbour"]);
  assert.deepEqual(words(operations).slice(2), ["add nexthop", "add route"]);
  const [, , hop, route] = operations;
  assert.ok(hop?.kind === "nexthop" && route?.kind === "route");
  assert.equal(hop.value.id, FIRST_NEXTHOP_ID);
  assert.equal(hop.value.protocol, 107);
  assert.equal(route.value.nexthopId, hop.value.id);
  assert.equal(route.value.gateway, undefined, "a route by a next hop names no gateway");
});

Deno.test("plan() removes the route before its next hop, neighbour and FDB entry", () => {
  const operations = plan(emptyDesired(), programmed([one]).read(DEVICE), OBJECTS);
  assert.equal(words(operations)[0], "delete route");
  assert.deepEqual(words(operations).sort(), [
    "delete fdb",
    "delete neighbour",
    "delete nexthop",
    "delete route",
  ]);
});

Deno.test("plan() has nothing to do where all is as it should be", () => {
  for (const options of [OBJECTS, PLAIN]) {
    for (const family of [4, 6] as const) {
      const tables = programmed([one, two], options, family).read(DEVICE);
      assert.deepEqual(plan(desiredOf([one, two], family), tables, options), []);
    }
  }
});

Deno.test("plan() mends what is missing and nothing else", () => {
  for (const kind of ["routes", "neighbours", "fdb"] as const) {
    const kernel = programmed([one, two]);
    kernel[kind].shift();
    const operations = plan(desiredOf([one, two]), kernel.read(DEVICE), OBJECTS);
    assert.deepEqual(operations.map((operation) => operation.kind), [
      kind === "fdb" ? kind : kind.slice(0, -1),
    ]);
  }
});

Deno.test("plan() leads an entry to its new place without taking the route away", () => {
  const kernel = programmed([one]);
  const moved = plan(desiredOf([{ ...one, p: 9 }]), kernel.read(DEVICE), OBJECTS);
  assert.deepEqual(words(moved), ["replace fdb"]);
  const remade = plan(desiredOf([{ ...one, m: 9 }]), kernel.read(DEVICE), OBJECTS);
  assert.deepEqual(words(remade), ["add fdb", "replace neighbour", "delete fdb"]);
});

Deno.test("plan() writes plain routes where the kernel has no next-hop objects, and takes the objects away", () => {
  const fresh = plan(desiredOf([one]), emptyTables(), PLAIN);
  assert.ok(fresh.every((operation) => operation.kind !== "nexthop"));
  const route = fresh.at(-1)!;
  assert.ok(route.kind === "route");
  assert.equal(route.value.gateway, "10.244.1.0");
  assert.equal(route.value.onlink, true);
  const fallback = plan(desiredOf([one]), programmed([one]).read(DEVICE), PLAIN);
  assert.deepEqual(words(fallback), ["replace route", "delete nexthop"]);
});

Deno.test("plan() writes a plain route where the backend wants one", () => {
  const desired = emptyDesired();
  const route = { ...entriesOf(one).route!, byNexthop: false, onlink: false };
  want(desired, { route });
  assert.deepEqual(words(plan(desired, emptyTables(), OBJECTS)), ["add route"]);
});

Deno.test("plan() passes over next-hop ids that others hold", () => {
  const tables = emptyTables();
  tables.takenIds.add(FIRST_NEXTHOP_ID).add(FIRST_NEXTHOP_ID + 1).add(FIRST_NEXTHOP_ID + 3);
  const ids = plan(desiredOf([one, two]), tables, OBJECTS)
    .flatMap((operation) => operation.kind === "nexthop" ? [operation.value.id] : []);
  assert.deepEqual(ids, [FIRST_NEXTHOP_ID + 2, FIRST_NEXTHOP_ID + 4]);
});

Deno.test("plan() adds a new route rather than overwrite what may be somebody else's", () => {
  const route = plan(desiredOf([one]), emptyTables(), OBJECTS).at(-1)!;
  assert.deepEqual([route.kind, route.verb], ["route", "add"]);
});

Deno.test("plan() looks only at what was touched", () => {
  const kernel = programmed([one, two]);
  kernel.routes = [];
  const desired = desiredOf([one, two]);
  const touched = nothingTouched();
  touched.routes.add("10.244.2.0/24");
  const operations = plan(desired, kernel.read(DEVICE), OBJECTS, touched);
  assert.deepEqual(words(operations), ["add route"]);
  assert.deepEqual(plan(desired, kernel.read(DEVICE), OBJECTS, nothingTouched()), []);
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
  const operations = plan(desiredOf(before), made.read(DEVICE), plain ? PLAIN : OBJECTS);
  for (const operation of operations) made.do(operation);
  for (const [kind, index] of lost) {
    const table: { id?: number; protocol?: number }[] = made[kind as "routes"];
    const [gone] = table.splice(index, 1);
    if (kind !== "nexthops" || gone === undefined) continue;
    if (gone.protocol === 186) made.nexthops.push(gone as ModelKernel["nexthops"][number]);
    else made.routes = made.routes.filter((route) => route.nexthopId !== gone.id);
  }
  for (const { n, m } of doubled) {
    const { route, neighbour } = entriesOf({ n, m, p: 1 });
    const { byNexthop: _, ...plainRoute } = route!;
    made.routes = made.routes.filter((r) => r.dst !== route!.dst || !r.priority);
    made.routes.push({
      ...plainRoute,
      protocol: 107,
      scope: 0,
      table: 254,
      type: 1,
      priority: m,
      flags: 0,
    });
    const id = FIRST_NEXTHOP_ID + 100 + m;
    if (made.nexthops.some((hop) => hop.id === id)) continue;
    made.nexthops.push({
      id,
      family: 4,
      gateway: neighbour!.dst,
      ifindex: DEVICE,
      protocol: 107,
      onlink: true,
      flags: 0,
    });
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
    if (operation.kind === "route" && operation.verb !== "delete") {
      assert.ok(now.has(`${operation.value.dst} 0`), `a route before its way is there: ${place}`);
    }
    before = now;
  }
}

Deno.test("plan() leads from any state to the one desired, without a hole at any moment", () => {
  fc.assert(
    fc.property(kernel, peers, fc.boolean(), (kernel, wanted, plainRoutes) => {
      const options = plainRoutes ? PLAIN : OBJECTS;
      const desired = desiredOf(wanted);
      const foreign = kernel.nexthops.filter((hop) => hop.protocol === 186);
      carryOut(kernel, plan(desired, kernel.read(DEVICE), options));
      const tables = kernel.read(DEVICE);
      assert.deepEqual(plan(desired, tables, options), [], "a second plan is empty");
      assert.deepEqual([...tables.routes.keys()].sort(), [...desired.routes.keys()].sort());
      assert.deepEqual([...tables.neighbours.keys()].sort(), [...desired.neighbours.keys()].sort());
      assert.deepEqual([...tables.fdb.keys()].sort(), [...desired.fdb.keys()].sort());
      assert.equal(tables.nexthops.size, plainRoutes ? 0 : desired.gateways.size);
      assert.deepEqual(tables.extra, { routes: [], nexthops: [], neighbours: [], fdb: [] });
      assert.deepEqual(kernel.nexthops.filter((hop) => hop.protocol === 186), foreign);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("plan() of touched keys does what a whole plan does, and advance() foretells the tables", () => {
  const events = fc.array(fc.tuple(peer, fc.boolean()), { maxLength: 12 });
  fc.assert(
    fc.property(peers, events, fc.boolean(), (start, events, plainRoutes) => {
      const options = plainRoutes ? PLAIN : OBJECTS;
      const kernel = programmed(start, options);
      const mirror: Tables = kernel.read(DEVICE);
      const desired = emptyDesired();
      const held = new Map(start.map((peer) => [peer.n, { peer, entries: entriesOf(peer) }]));
      for (const { entries } of held.values()) want(desired, entries);
      for (const [peer, leaves] of events) {
        const touched = nothingTouched();
        const old = held.get(peer.n);
        held.delete(peer.n);
        if (old !== undefined) unwant(desired, old.entries, touched);
        const clash = [...held.values()].some((other) => other.peer.m === peer.m);
        if (!leaves && !clash) {
          const entries = entriesOf(peer);
          held.set(peer.n, { peer, entries });
          want(desired, entries, touched);
        }
        const operations = plan(desired, mirror, options, touched);
        carryOut(kernel, operations);
        for (const operation of operations) advance(mirror, operation);
        assert.deepEqual(plan(desired, kernel.read(DEVICE), options), []);
        assert.deepEqual(plan(desired, mirror, options), []);
      }
      assert.deepEqual(mirror, {
        ...kernel.read(DEVICE),
        takenIds: mirror.takenIds,
      });
    }),
    { numRuns: 500 },
  );
});
