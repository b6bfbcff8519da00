// What ffi/rtnl writes is what the kernel holds and gives back, in a network namespace of the test's own.
import assert from "node:assert/strict";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import { Batch } from "../../ffi/netlink/batch.ts";
import { addAddress, deleteAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import { decodeEvent, type RtnlEvent } from "../../ffi/rtnl/events.ts";
import { encodeFdb, listFdb } from "../../ffi/rtnl/fdb.ts";
import { addLink, changeLink, deleteLink, getLink, listLinks } from "../../ffi/rtnl/link.ts";
import { encodeNeighbour, listNeighbours } from "../../ffi/rtnl/neighbour.ts";
import { encodeNexthop, listNexthops, nexthopsSupported } from "../../ffi/rtnl/nexthop.ts";
import { encodeRoute, listRoutes, routeOf } from "../../ffi/rtnl/route.ts";
import { openRtnl, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { inNewNamespace } from "../support/namespace.ts";

/** A VXLAN device that is up, in the namespace. */
function vxlanDevice(rtnl: NetlinkSocket): number {
  addLink(rtnl, {
    name: "knet.7",
    kind: "vxlan",
    mac: "02:00:00:00:00:07",
    mtu: 1450,
    addrGenMode: 1,
    vxlan: { vni: 7, port: 8472, local: "192.168.9.1", learning: false },
  });
  const { index } = getLink(rtnl, "knet.7")!;
  changeLink(rtnl, index, { up: true });
  return index;
}

Deno.test("addLink() makes a VXLAN device that listLinks() describes", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const index = vxlanDevice(rtnl);
    const link = getLink(rtnl, index)!;
    assert.equal(link.mac, "02:00:00:00:00:07");
    assert.equal(link.mtu, 1450);
    assert.equal(link.kind, "vxlan");
    assert.equal(link.up, true);
    assert.equal(link.addrGenMode, 1);
    assert.deepEqual(link.vxlan, { vni: 7, port: 8472, local: "192.168.9.1", learning: false });
  }));

Deno.test("changeLink() changes a VXLAN device's local address in place", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const index = vxlanDevice(rtnl);
    changeLink(rtnl, index, { vxlan: { local: "192.168.9.2" } });
    assert.equal(getLink(rtnl, index)!.vxlan!.local, "192.168.9.2");
  }));

Deno.test("addLink() makes a veth pair, a bridge, and a port of it", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, { name: "br", kind: "bridge", mac: "02:00:00:00:00:09" });
    const bridge = getLink(rtnl, "br")!;
    addLink(rtnl, {
      name: "left",
      kind: "veth",
      mac: "02:00:00:00:00:0a",
      master: bridge.index,
      peer: { name: "right", mac: "02:00:00:00:00:0b", mtu: 1400 },
    });
    assert.deepEqual(listLinks(rtnl, { master: bridge.index }).map((l) => l.name), ["left"]);
    assert.equal(getLink(rtnl, "right")!.mac, "02:00:00:00:00:0b");
    assert.equal(getLink(rtnl, "right")!.mtu, 1400);
    deleteLink(rtnl, bridge.index);
    assert.equal(getLink(rtnl, "br"), undefined);
  }));

Deno.test("getLink() finds one link by its name or its index", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, { name: "dotted.name-xyz", kind: "bridge" });
    const byName = getLink(rtnl, "dotted.name-xyz")!;
    assert.equal(byName.kind, "bridge");
    assert.deepEqual(getLink(rtnl, byName.index), byName);
    assert.deepEqual(listLinks(rtnl).find((link) => link.index === byName.index), byName);
  }));

Deno.test("getLink() finds nothing by what no link has", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    for (const none of ["nowhere", "", "sixteen-bytes-xx", "lo\0", "ä".repeat(8), 4711, 0, -1]) {
      assert.equal(getLink(rtnl, none), undefined, `${none}`);
    }
  }));

Deno.test("getLink() passes alternative names over", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, { name: "br", kind: "bridge" });
    const { index } = getLink(rtnl, "br")!;
    const batch = new Batch(128);
    const [newLinkProperty, propertyList, alternativeName] = [108, 52, 53]; // linux/rtnetlink.h, linux/if_link.h
    batch.begin(newLinkProperty, 0xe01, () => "give the bridge an alternative name"); // request, create, excl, append
    for (const word of [0, index, 0, 0]) batch.u32(word);
    const nest = batch.beginNest(propertyList | 0x8000);
    batch.attrString(alternativeName, "bridge-of-many-names");
    batch.attrString(alternativeName, "other");
    batch.endNest(nest);
    batch.end();
    rtnl.request(batch);
    assert.equal(getLink(rtnl, "other"), undefined);
    assert.equal(getLink(rtnl, "br")?.index, index);
  }));

for (
  const [family, host, length, peer, network] of [
    [4, "10.9.0.1", 24, "10.9.1.0", "10.9.1.0/24"],
    [6, "fd00:9::1", 64, "fd00:9:0:1::1", "fd00:9:0:1::/64"],
  ] as const
) {
  Deno.test(`addAddress() and deleteAddress() work for IPv${family}`, () =>
    inNewNamespace(() => {
      using rtnl = openRtnl();
      const ifindex = vxlanDevice(rtnl);
      addAddress(rtnl, { ifindex, address: host, prefixLength: length });
      const found = listAddresses(rtnl, { ifindex, family });
      assert.deepEqual(found.map((a) => [a.address, a.prefixLength]), [[host, length]]);
      deleteAddress(rtnl, { ifindex, address: host, prefixLength: length });
      assert.deepEqual(listAddresses(rtnl, { ifindex, family }), []);
    }));

  Deno.test(`encodeRoute() by a next-hop object comes back from the kernel for IPv${family}`, () =>
    inNewNamespace(() => {
      using rtnl = openRtnl();
      const ifindex = vxlanDevice(rtnl);
      addAddress(rtnl, { ifindex, address: host, prefixLength: family === 4 ? 32 : 128 });
      assert.equal(nexthopsSupported(rtnl), true);
      const nexthop = {
        id: 0x6b6e0001,
        family,
        gateway: peer,
        ifindex,
        protocol: 107,
        onlink: true,
        flags: 0,
      };
      const neighbour = {
        family,
        ifindex,
        dst: peer,
        mac: "02:00:00:00:01:01",
        state: 0x80,
        flags: 0,
      };
      const batch = new Batch();
      encodeNeighbour(batch, "replace", neighbour);
      encodeNexthop(batch, "add", nexthop);
      encodeRoute(
        batch,
        "add",
        routeOf({ dst: network, nexthopId: nexthop.id, protocol: 107 }),
      );
      assert.deepEqual(rtnl.send(batch), []);
      const [hop] = listNexthops(rtnl, { ifindex });
      assert.deepEqual(
        [hop?.id, hop?.gateway, hop?.protocol, hop?.onlink],
        [nexthop.id, peer, 107, true],
      );
      const [route] = listRoutes(rtnl, { family, protocol: 107, table: 254 });
      assert.deepEqual([route?.dst, route?.nexthopId, route?.gateway], [network, nexthop.id, peer]);
      const found = listNeighbours(rtnl, { family, ifindex }).find((n) => n.dst === peer);
      assert.deepEqual([found?.mac, found?.state], [neighbour.mac, 0x80]);
    }));
}

Deno.test("encodeFdb() adds, replaces and deletes where a MAC address is", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const ifindex = vxlanDevice(rtnl);
    const entry = { ifindex, mac: "02:00:00:00:01:01", state: 0xc0, flags: 0x02 };
    const send = (verb: "add" | "replace" | "delete", dst: string) => {
      const batch = new Batch();
      encodeFdb(batch, verb, { ...entry, dst });
      rtnl.request(batch);
    };
    const places = () => listFdb(rtnl, { ifindex }).map((e) => [e.mac, e.dst]);
    send("add", "192.168.9.5");
    assert.deepEqual(places(), [[entry.mac, "192.168.9.5"]]);
    send("replace", "192.168.9.6");
    assert.deepEqual(places(), [[entry.mac, "192.168.9.6"]]);
    send("delete", "192.168.9.6");
    assert.deepEqual(places(), []);
  }));

Deno.test("send() names each message that failed, in order, among those that did not", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const ifindex = vxlanDevice(rtnl);
    const batch = new Batch();
    for (let index = 0; index < 10_000; index++) {
      // Every hundredth names a device that is not there.
      encodeNeighbour(batch, "replace", {
        family: 4,
        ifindex: index % 100 === 50 ? 9999 : ifindex,
        dst: `10.9.${index >> 8}.${index & 255}`,
        mac: "02:00:00:00:01:01",
        state: 0x80,
        flags: 0,
      });
    }
    const failures = rtnl.send(batch);
    assert.deepEqual(
      failures.map((failure) => failure.index),
      Array.from({ length: 100 }, (_, index) => index * 100 + 50),
    );
    assert.equal(failures[0]!.error.code, "ENODEV");
    assert.equal(listNeighbours(rtnl, { family: 4, ifindex }).length, 9900);
  }));

Deno.test("request() throws the errno and the kernel's own words", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const batch = new Batch();
    encodeRoute(
      batch,
      "add",
      routeOf({ dst: "10.9.9.0/24", gateway: "10.1.1.1", ifindex: 1, onlink: true }),
    );
    assert.throws(() => rtnl.request(batch), (error) => {
      assert.ok(error instanceof NetlinkError);
      assert.match(
        error.message,
        /^Cannot add route 10\.9\.9\.0\/24 via 10\.1\.1\.1 dev #1: E[A-Z]+ \(.+\)$/,
      );
      return true;
    });
  }));

Deno.test("receive() tells of changes with the port id of who made them", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    using events = openRtnl();
    events.joinGroup(RTNLGRP.LINK);
    events.joinGroup(RTNLGRP.NEIGH);
    const ifindex = vxlanDevice(rtnl);
    const batch = new Batch();
    encodeNeighbour(batch, "replace", {
      family: 4,
      ifindex,
      dst: "10.9.1.0",
      mac: "02:00:00:00:01:01",
      state: 0x80,
      flags: 0,
    });
    rtnl.request(batch);
    const seen: RtnlEvent[] = [];
    const { overrun } = events.receive((message) => {
      seen.push(decodeEvent(message));
    });
    assert.equal(overrun, false);
    assert.ok(seen.some((event) => event.kind === "link" && event.value.name === "knet.7"));
    const neighbour = seen.find((event) => event.kind === "neighbour");
    assert.equal(neighbour?.pid, rtnl.portId);
  }));
