import assert from "node:assert/strict";
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import { routeOf } from "../../ffi/rtnl/route.ts";
import { sampleAddress, sampleLink } from "../../tests/support/samples.ts";
import { emptyTables, FIRST_NEXTHOP_ID, KNET_PROTOCOL } from "../kernel/tables.ts";
import { driftOf, LinkMemory, type Watched } from "./drift.ts";

const DEVICE = 7, BRIDGE = 8, UNDERLAY = 2, OWN = 4711;

const route = routeOf({
  dst: "10.244.1.0/24",
  nexthopId: FIRST_NEXTHOP_ID,
  protocol: KNET_PROTOCOL,
});
const nexthop = {
  id: FIRST_NEXTHOP_ID,
  family: 4 as const,
  gateway: "10.244.1.0",
  ifindex: DEVICE,
  protocol: KNET_PROTOCOL,
  onlink: true,
  flags: 0,
};
const neighbour = {
  family: 4 as const,
  ifindex: DEVICE,
  dst: "10.244.1.0",
  mac: "02:00:00:00:00:01",
  state: 0x80,
  flags: 0,
};
const fdb = {
  ifindex: DEVICE,
  mac: "02:00:00:00:00:01",
  dst: "192.168.2.1",
  state: 0xc0,
  flags: 2,
};

function watched(): Watched {
  const tables = emptyTables();
  tables.routes.set(route.dst, route);
  tables.nexthops.set(nexthop.gateway, nexthop);
  tables.takenIds.add(nexthop.id);
  tables.neighbours.set(neighbour.dst, neighbour);
  tables.fdb.set(fdb.mac, fdb);
  return {
    device: { index: DEVICE, name: "knet.1" },
    bridge: { index: BRIDGE, name: "knet0" },
    underlay: { ifindex: UNDERLAY, nearby: [{ prefix: "192.168.2.0/24", direct: true }] },
    tables,
    port: OWN,
  };
}

/** What drift an event is, nobody having seen a link before. */
const drift = (event: object, pid = 0) =>
  driftOf({ deleted: false, pid, ...event } as RtnlEvent, watched(), new LinkMemory());

Deno.test("driftOf() takes every deletion of what knet believes in, except by itself", () => {
  for (
    const event of [
      { kind: "route", value: route },
      { kind: "nexthop", value: nexthop },
      { kind: "neighbour", value: neighbour },
      { kind: "fdb", value: fdb },
      { kind: "address", value: sampleAddress({ ifindex: DEVICE, address: "10.244.0.0" }) },
    ]
  ) {
    assert.equal(drift({ ...event, deleted: true }), "overlay", event.kind);
    assert.equal(drift({ ...event, deleted: true }, OWN), undefined, `${event.kind} by itself`);
  }
});

Deno.test("driftOf() is not moved by an entry that says what knet believes", () => {
  assert.equal(drift({ kind: "route", value: route }), undefined);
  assert.equal(drift({ kind: "nexthop", value: nexthop }), undefined);
  assert.equal(drift({ kind: "neighbour", value: neighbour }), undefined);
  assert.equal(drift({ kind: "fdb", value: fdb }), undefined);
});

Deno.test("driftOf() takes an entry of ours that says something else", () => {
  assert.equal(drift({ kind: "route", value: { ...route, nexthopId: 1 } }), "overlay");
  assert.equal(drift({ kind: "route", value: { ...route, dst: "10.244.9.0/24" } }), "overlay");
  assert.equal(drift({ kind: "nexthop", value: { ...nexthop, ifindex: 9 } }), "overlay");
  assert.equal(drift({ kind: "neighbour", value: { ...neighbour, mac: "02:9::" } }), "overlay");
  assert.equal(drift({ kind: "neighbour", value: { ...neighbour, state: 0x20 } }), "overlay");
  assert.equal(drift({ kind: "neighbour", value: { ...neighbour, dst: "10.1.1.1" } }), "overlay");
  assert.equal(drift({ kind: "fdb", value: { ...fdb, dst: "192.168.2.9" } }), "overlay");
  assert.equal(drift({ kind: "fdb", value: { ...fdb, mac: "02:9::" } }), "overlay");
});

Deno.test("driftOf() leaves what belongs to others alone", () => {
  const foreign = { ...route, protocol: 186, dst: "10.99.0.0/16" };
  assert.equal(drift({ kind: "route", value: foreign }), undefined);
  assert.equal(drift({ kind: "route", value: foreign, deleted: true }), undefined);
  assert.equal(drift({ kind: "route", value: { ...route, table: 7 }, deleted: true }), undefined);
  assert.equal(drift({ kind: "nexthop", value: { ...nexthop, protocol: 186 } }), undefined);
  const unknown = { ...nexthop, id: FIRST_NEXTHOP_ID + 9, gateway: "10.244.9.0" };
  assert.equal(drift({ kind: "nexthop", value: unknown, deleted: true }), undefined);
  assert.equal(
    drift({ kind: "neighbour", value: { ...neighbour, ifindex: 2 }, deleted: true }),
    undefined,
  );
  assert.equal(drift({ kind: "fdb", value: { ...fdb, ifindex: 9 }, deleted: true }), undefined);
  assert.equal(
    drift({ kind: "address", value: sampleAddress({ ifindex: 9, address: "10.1.1.1" }) }),
    undefined,
  );
  assert.equal(drift({ kind: "link", value: sampleLink({ index: 9, name: "veth" }) }), undefined);
  assert.equal(drift({ kind: "other" }), undefined);
});

Deno.test("driftOf() notices a route of ours that somebody else replaced", () => {
  const theirs = { ...routeOf({ dst: route.dst, gateway: "192.168.2.254" }), protocol: 3 };
  assert.equal(drift({ kind: "route", value: theirs }), "overlay");
  assert.equal(
    drift({ kind: "route", value: { ...theirs, priority: 100 } }),
    undefined,
    "beside ours",
  );
});

Deno.test("driftOf() takes an FDB entry deleted with its old destination for the replacement it is", () => {
  assert.equal(
    drift({ kind: "fdb", value: { ...fdb, dst: "192.168.2.99" }, deleted: true }),
    undefined,
  );
});

Deno.test("driftOf() asks for the underlay where that changed", () => {
  const address = sampleAddress({ ifindex: UNDERLAY, address: "192.168.2.1" });
  assert.equal(drift({ kind: "address", value: address }), "underlay");
  assert.equal(drift({ kind: "address", value: address, deleted: true }), "underlay");
  const eth0 = sampleLink({ index: UNDERLAY, name: "eth0" });
  assert.equal(drift({ kind: "link", value: eth0, deleted: true }), "underlay");
  const gateway = routeOf({ dst: "0.0.0.0/0", gateway: "192.168.2.254" });
  assert.equal(drift({ kind: "route", value: gateway }), "underlay");
  assert.equal(drift({ kind: "netconf" }), "sysctl");
});

Deno.test("driftOf() looks at a link only when something that matters has changed", () => {
  const memory = new LinkMemory();
  const see = (link: object, deleted = false) =>
    driftOf({ kind: "link", deleted, pid: 0, value: link } as RtnlEvent, watched(), memory);
  const device = sampleLink({ index: DEVICE, name: "knet.1" });
  see(device);
  assert.equal(see(device), undefined);
  assert.equal(see({ ...device, flags: 0x1043 }), undefined, "flags come and go");
  assert.equal(see({ ...device, mac: "02:99:00:00:00:00" }), "overlay");
  assert.equal(see({ ...device, up: false }), "overlay");
  assert.equal(see({ ...device, carrier: false }), "overlay");
  assert.equal(see({ ...device, mtu: 1400 }), "overlay");
  assert.equal(see(device, true), "overlay");
  assert.equal(see(sampleLink({ index: 99, name: "knet.1" })), "overlay", "a new one of its name");
  const bridge = sampleLink({ index: BRIDGE, name: "knet0" });
  see(bridge);
  assert.equal(see({ ...bridge, carrier: false }), undefined, "no container is attached");
});
