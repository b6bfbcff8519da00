// What a netlink socket does when the kernel interrupts, drops or refuses, in a network namespace of the test's own.
import assert from "node:assert/strict";
import { Batch, NLM_F_DUMP, NLM_F_REQUEST } from "../../ffi/netlink/batch.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { addFdb, appendFdb, deleteFdb, listFdb, replaceFdb } from "../../ffi/rtnl/fdb.ts";
import { addLink, changeLink, deleteLink, getLink, listLinks } from "../../ffi/rtnl/link.ts";
import {
  addNeighbour,
  deleteNeighbour,
  encodeNeighbour,
  listNeighbours,
} from "../../ffi/rtnl/neighbour.ts";
import {
  addNexthop,
  decodeNexthop,
  deleteNexthop,
  encodeNexthop,
  listNexthops,
  replaceNexthop,
} from "../../ffi/rtnl/nexthop.ts";
import { addRoute, deleteRoute, listRoutes, replaceRoute } from "../../ffi/rtnl/route.ts";
import { openRtnl, RTM, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import { inNewNamespace } from "../support/namespace.ts";

/** A VXLAN device that is up and has an address, so that next hops may lead over it. */
function device(rtnl: NetlinkSocket): number {
  addLink(rtnl, {
    name: "v",
    kind: "vxlan",
    up: true,
    vxlan: { vni: 7, port: 8472, local: "192.168.9.1", learning: false },
  });
  const { index } = getLink(rtnl, "v")!;
  addAddress(rtnl, { ifindex: index, address: "10.9.0.1", prefixLength: 16 });
  return index;
}

function fill(rtnl: NetlinkSocket, ifindex: number, count: number): void {
  const batch = new Batch();
  for (let id = 1; id <= count; id++) {
    encodeNexthop(batch, "add", {
      id,
      family: 4,
      gateway: `10.9.${(id >> 8) + 1}.${id & 255}`,
      ifindex,
      protocol: 107,
      onlink: true,
      flags: 0,
    });
  }
  rtnl.request(batch);
}

/** Dumps next hops and calls `meddle` at the first one of every attempt. */
function dumpMeddled(rtnl: NetlinkSocket, meddle: (attempt: number) => void): number[][] {
  const attempts: number[][] = [[]];
  rtnl.dump((batch) => {
    batch.begin(RTM.GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP, () => "list next hops");
    batch.u32(0);
    batch.u32(0);
    batch.end();
  }, (message) => {
    const ids = attempts.at(-1)!;
    ids.push(decodeNexthop(message)!.id);
    if (ids.length === 1) meddle(attempts.length);
  }, { restart: () => attempts.push([]) });
  return attempts;
}

Deno.test("dump() begins again when a change interrupted it, and gives what is there then", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    using other = openRtnl();
    const ifindex = device(rtnl);
    fill(rtnl, ifindex, 5000);
    const attempts = dumpMeddled(rtnl, (attempt) => {
      if (attempt === 1) deleteNexthop(other, 4999);
    });
    assert.equal(attempts.length, 2, "the kernel told that the first dump is no state of its own");
    assert.equal(attempts[1]!.length, 4999);
    assert.ok(!attempts[1]!.includes(4999));
    assert.equal(listNexthops(rtnl).length, 4999, "the socket is in order afterwards");
  }));

Deno.test("dump() gives up when it is interrupted every time, and says so", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    using other = openRtnl();
    const ifindex = device(rtnl);
    fill(rtnl, ifindex, 2000);
    assert.throws(
      () => dumpMeddled(rtnl, (n) => deleteNexthop(other, 2001 - n)),
      (error) => {
        assert.ok(error instanceof NetlinkError);
        assert.equal(error.code, "EINTR");
        assert.match(error.message, /^Cannot list next hops: EINTR \(interrupted by changes/);
        return true;
      },
    );
    assert.ok(listNexthops(rtnl).length < 2000);
  }));

Deno.test("dump() throws what the kernel says of a malformed request: checking is strict", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const bad = () =>
      rtnl.dump((batch) => {
        batch.begin(RTM.GETLINK, NLM_F_REQUEST | NLM_F_DUMP, () => "list links");
        for (const word of [0, 0, 0xffffffff, 0xffffffff]) batch.u32(word);
        batch.end();
      }, () => {});
    assert.throws(bad, (error) => {
      assert.ok(error instanceof NetlinkError);
      assert.equal(error.code, "EINVAL");
      assert.match(error.kernelMessage ?? "", /Invalid values in header/);
      return true;
    });
    assert.ok(listLinks(rtnl).some((link) => link.name === "lo"));
  }));

Deno.test("dump() filters in the kernel, by protocol and by device", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const ifindex = device(rtnl);
    addLink(rtnl, { name: "br", kind: "bridge", up: true });
    const bridge = getLink(rtnl, "br")!.index;
    addRoute(rtnl, { dst: "10.50.0.0/16", ifindex, protocol: 107 });
    addRoute(rtnl, { dst: "10.51.0.0/16", ifindex, protocol: 186 });
    addNeighbour(rtnl, { ifindex, dst: "10.9.0.2", mac: "02:00:00:00:00:02" });
    addNeighbour(rtnl, { ifindex: bridge, dst: "10.9.0.3", mac: "02:00:00:00:00:03" });
    addNexthop(rtnl, { id: 1, ifindex, gateway: "10.9.0.2" });
    addNexthop(rtnl, { id: 2, ifindex: bridge });
    // Counted in what the kernel sends, before anything of ours filters.
    const counted = (build: (batch: Batch) => void) => {
      let count = 0;
      rtnl.dump(build, () => count++);
      return count;
    };
    const request = (type: number, ...words: number[]) => (batch: Batch) => {
      batch.begin(type, NLM_F_REQUEST | NLM_F_DUMP, () => "list");
      for (const word of words) batch.u32(word);
    };
    assert.equal(
      counted((batch) => {
        request(RTM.GETROUTE, 2, 107 << 8, 0)(batch); // AF_INET, rtm_protocol
        batch.attrU32(15, 254);
        batch.end();
      }),
      1,
    );
    assert.equal(
      counted((batch) => {
        request(RTM.GETNEIGH, 2, 0, 0)(batch);
        batch.attrU32(8, ifindex);
        batch.end();
      }),
      1,
    );
    assert.deepEqual(listRoutes(rtnl, { protocol: 107 }).map((route) => route.dst), [
      "10.50.0.0/16",
    ]);
    assert.deepEqual(listNexthops(rtnl, { ifindex }).map((hop) => hop.id), [1]);
    const onBridge = listNeighbours(rtnl, { ifindex: bridge, family: 4 }).map((n) => n.dst);
    assert.ok(onBridge.includes("10.9.0.3") && !onBridge.includes("10.9.0.2"));
  }));

Deno.test("receive() says that the kernel had to drop notifications, and hears the next", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    using events = openRtnl({ receiveBuffer: 64 * 1024 });
    events.joinGroup(RTNLGRP.NEIGH);
    const ifindex = device(rtnl);
    const batch = new Batch();
    for (let n = 0; n < 20_000; n++) {
      encodeNeighbour(batch, "replace", {
        family: 4,
        ifindex,
        dst: `10.10.${n >> 8}.${n & 255}`,
        mac: "02:00:00:00:00:02",
        state: 0x80,
        flags: 0,
      });
    }
    rtnl.request(batch);
    let heard = 0;
    assert.equal(events.receive(() => heard++).overrun, true);
    assert.ok(heard > 0 && heard < 20_000, `${heard}`);
    addNeighbour(rtnl, { ifindex, dst: "10.11.0.1", mac: "02:00:00:00:00:02" });
    heard = 0;
    assert.deepEqual(events.receive(() => heard++), { overrun: false });
    assert.equal(heard, 1);
    const all = listNeighbours(rtnl, { ifindex, family: 4 }).filter((n) => n.state === 0x80);
    assert.equal(all.length, 20_001, "a dump knows all");
  }));

Deno.test("NetlinkError carries the errno's name, the kernel's words, and what was being done", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const ifindex = device(rtnl);
    changeLink(rtnl, ifindex, { up: false });
    const refused = (run: () => void, code: string, message: string) =>
      assert.throws(run, (error) => {
        assert.ok(error instanceof NetlinkError);
        assert.equal(error.code, code);
        assert.equal(error.message, message);
        return true;
      });
    refused(
      () => addRoute(rtnl, { dst: "10.20.0.0/16", gateway: "10.9.0.2", ifindex, onlink: true }),
      "ENETDOWN",
      `Cannot add route 10.20.0.0/16 via 10.9.0.2 dev #${ifindex}: ENETDOWN (Nexthop device is not up)`,
    );
    refused(
      () => addRoute(rtnl, { dst: "10.20.0.0/16", gateway: "10.99.0.2" }),
      "ENETUNREACH",
      "Cannot add route 10.20.0.0/16 via 10.99.0.2: ENETUNREACH (Nexthop has invalid gateway)",
    );
    refused(
      () => addNexthop(rtnl, { id: 1, ifindex: 9999, gateway: "10.9.0.2" }),
      "EINVAL",
      "Cannot add next hop 1 via 10.9.0.2: EINVAL (Invalid device index)",
    );
    refused(
      () => deleteLink(rtnl, 9999),
      "ENODEV",
      "Cannot delete device #9999: ENODEV (No such device)",
    );
  }));

Deno.test("add, replace and delete of neighbours, FDB entries, next hops and routes do what they say", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    const ifindex = device(rtnl);
    const exists = { code: "EEXIST" };
    const mac = "02:00:00:00:00:02";

    addNeighbour(rtnl, { ifindex, dst: "10.9.0.2", mac });
    assert.throws(() => addNeighbour(rtnl, { ifindex, dst: "10.9.0.2", mac }), exists);
    deleteNeighbour(rtnl, { ifindex, dst: "10.9.0.2" });
    assert.throws(() => deleteNeighbour(rtnl, { ifindex, dst: "10.9.0.2" }), { code: "ENOENT" });

    addFdb(rtnl, { ifindex, mac, dst: "192.168.9.2" });
    assert.throws(() => addFdb(rtnl, { ifindex, mac, dst: "192.168.9.3" }), exists);
    replaceFdb(rtnl, { ifindex, mac, dst: "192.168.9.3" });
    const flood = "00:00:00:00:00:00";
    appendFdb(rtnl, { ifindex, mac: flood, dst: "192.168.9.4" });
    appendFdb(rtnl, { ifindex, mac: flood, dst: "192.168.9.5" });
    assert.deepEqual(
      listFdb(rtnl, { ifindex }).map((entry) => `${entry.mac} ${entry.dst}`).sort(),
      [`${flood} 192.168.9.4`, `${flood} 192.168.9.5`, `${mac} 192.168.9.3`],
    );
    deleteFdb(rtnl, { ifindex, mac, dst: "192.168.9.3" });
    assert.throws(() => deleteFdb(rtnl, { ifindex, mac }), { code: "ENOENT" });

    addNexthop(rtnl, { id: 7, ifindex, gateway: "10.9.0.2" });
    assert.throws(() => addNexthop(rtnl, { id: 7, ifindex, gateway: "10.9.0.2" }), exists);
    replaceNexthop(rtnl, { id: 7, ifindex, gateway: "10.9.0.3" });
    changeLink(rtnl, 1, { up: true }); // The kernel lets a blackhole lead over the loopback device.
    addNexthop(rtnl, { id: 8, blackhole: true });
    assert.deepEqual(
      listNexthops(rtnl).map((hop) => [hop.id, hop.gateway, hop.blackhole]),
      [[7, "10.9.0.3", undefined], [8, undefined, true]],
    );
    addRoute(rtnl, { dst: "10.30.0.0/16", nexthopId: 7 });
    assert.throws(() => addRoute(rtnl, { dst: "10.30.0.0/16", nexthopId: 8 }), exists);
    replaceRoute(rtnl, { dst: "10.30.0.0/16", nexthopId: 8 });
    deleteNexthop(rtnl, 8);
    assert.throws(() => deleteRoute(rtnl, { dst: "10.30.0.0/16" }), { code: "ESRCH" });

    addRoute(rtnl, { dst: "10.31.0.0/16", gateway: "10.9.0.2", protocol: 186 });
    addRoute(rtnl, { dst: "10.31.0.0/16", gateway: "10.9.0.3", priority: 5 });
    const gateways = () =>
      listRoutes(rtnl, { family: 4 }).filter((r) => r.dst === "10.31.0.0/16").map((r) => r.gateway);
    deleteRoute(rtnl, { dst: "10.31.0.0/16", priority: 5 });
    assert.deepEqual(gateways(), ["10.9.0.2"]);
    deleteRoute(rtnl, { dst: "10.31.0.0/16" });
    assert.deepEqual(gateways(), [], "whoever made it");
  }));

Deno.test("NetlinkSocket refuses to send when it is closed", () => {
  const rtnl = openRtnl();
  rtnl[Symbol.dispose]();
  rtnl[Symbol.dispose]();
  assert.throws(() => listLinks(rtnl), TypeError);
  assert.throws(() => NetlinkSocket.open(31), /Cannot open a netlink socket/);
});
