// A plan, carried out on the real kernel, leaves nothing to plan; what is not knet's stays as it was.
// Longer than others: each attribute of each kind is changed by hand.
import assert from "node:assert/strict";
import { apply } from "../../core/kernel/apply.ts";
import { plan } from "../../core/kernel/plan.ts";
import {
  KernelSockets,
  type Kind,
  KNET_PROTOCOL,
  type Scope,
  wish,
} from "../../core/kernel/kind.ts";
import { fdb as fdbKind, fdbEntry } from "../../core/kernel/kinds/fdb.ts";
import { KINDS } from "../../core/kernel/kinds/kinds.ts";
import {
  neighbour as neighbourKind,
  permanentNeighbour,
} from "../../core/kernel/kinds/neighbour.ts";
import {
  FIRST_NEXTHOP_ID,
  nexthop as nexthopKind,
  onlinkNexthop,
} from "../../core/kernel/kinds/nexthop.ts";
import { knetRoute, route as routeKind } from "../../core/kernel/kinds/route.ts";
import { readTables, type Tables } from "../../core/kernel/tables.ts";
import { Wishes } from "../../core/kernel/wishes.ts";
import { Batch } from "../../ffi/netlink/batch.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { encodeFdb, type FdbEntry } from "../../ffi/rtnl/fdb.ts";
import { addLink, changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { encodeNeighbour, type Neighbour } from "../../ffi/rtnl/neighbour.ts";
import { encodeNexthop, listNexthops, type Nexthop } from "../../ffi/rtnl/nexthop.ts";
import {
  addRoute,
  deleteRoute,
  encodeRoute,
  listRoutes,
  replaceRoute,
  type Route,
  routeOf,
} from "../../ffi/rtnl/route.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { inNewNamespace } from "../support/namespace.ts";

type Family = 4 | 6;

function device(rtnl: NetlinkSocket, family: Family): number {
  addLink(rtnl, {
    name: "knet.7",
    kind: "vxlan",
    mac: "02:00:00:00:00:07",
    mtu: 1450,
    addrGenMode: 1,
    vxlan: {
      vni: 7,
      port: 8472,
      local: family === 4 ? "192.168.9.1" : "fd09::1",
      learning: false,
    },
  });
  const { index } = getLink(rtnl, "knet.7")!;
  changeLink(rtnl, index, { up: true });
  addAddress(rtnl, {
    ifindex: index,
    address: family === 4 ? "10.244.0.0" : "fd00::",
    prefixLength: family === 4 ? 32 : 128,
  });
  return index;
}

const gatewayOf = (family: Family, n: number) =>
  family === 4 ? `10.244.${n}.0` : `fd00:0:0:${n.toString(16)}::`;
const subnetOf = (family: Family, n: number) => `${gatewayOf(family, n)}/${family === 4 ? 24 : 64}`;

function wishesOf(
  family: Family,
  ifindex: number,
  without: readonly Kind[],
  ...peers: number[]
): Wishes {
  const wishes = new Wishes(without);
  for (const n of peers) {
    const gateway = gatewayOf(family, n);
    const dst = subnetOf(family, n);
    const mac = `02:00:00:00:01:${n.toString(16).padStart(2, "0")}`;
    const vtep = family === 4 ? `192.168.9.${n}` : `fd09::${n.toString(16)}`;
    const claim = { since: n, owner: "" };
    wishes.add([
      wish(fdbKind, fdbEntry(ifindex, mac, vtep), claim),
      wish(neighbourKind, permanentNeighbour(family, ifindex, gateway, mac), claim),
      wish(nexthopKind, onlinkNexthop(family, gateway, ifindex), claim),
      wish(routeKind, knetRoute({ family, dst, gateway, ifindex, onlink: true }), claim),
    ]);
  }
  return wishes;
}

for (const family of [4, 6] as const) {
  for (const nexthopObjects of [true, false]) {
    const how = `IPv${family}, ${nexthopObjects ? "next-hop objects" : "plain routes"}`;
    const without = nexthopObjects ? [] : [nexthopKind as Kind];

    /** Plans and applies; whatever was wrong, a second look finds nothing. */
    const settle = (
      rtnl: NetlinkSocket,
      index: number,
      wishes: Wishes,
      before?: Tables,
    ): number => {
      const sockets = new KernelSockets(rtnl);
      const scope: Scope = { family, device: index, wide: true };
      const tables: Tables = readTables(KINDS, sockets, scope, before);
      const operations = plan(wishes, tables, KINDS);
      assert.deepEqual(apply(sockets, operations, tables), []);
      const after = readTables(KINDS, sockets, scope);
      assert.deepEqual(plan(wishes, after, KINDS), [], "something is left to do");
      // What cannot be right is deleted once and not looked at again before the next dump.
      for (const kind of KINDS) tables.of(kind).extra.length = 0;
      assert.deepEqual(plan(wishes, tables, KINDS), [], "the tables in mind are not the kernel's");
      return operations.length;
    };

    Deno.test(`apply() leaves nothing to plan(): ${how}`, () =>
      inNewNamespace(() => {
        using rtnl = openRtnl();
        const index = device(rtnl, family);
        const foreign = routeOf({
          dst: family === 4 ? "10.99.0.0/16" : "fd99::/48",
          gateway: gatewayOf(family, 99),
          ifindex: index,
          onlink: true,
          protocol: 186,
        });
        addRoute(rtnl, foreign);
        const all = wishesOf(family, index, without, 1, 2, 3);
        assert.equal(settle(rtnl, index, all), nexthopObjects ? 12 : 9);
        assert.equal(
          settle(rtnl, index, wishesOf(family, index, without, 1, 3, 4)),
          nexthopObjects ? 8 : 6,
        );
        assert.equal(settle(rtnl, index, new Wishes()), nexthopObjects ? 12 : 9);
        const left = listRoutes(rtnl, { family, protocol: 186 });
        assert.deepEqual(left.map((route) => route.dst), [foreign.dst]);
      }));

    Deno.test(`plan() mends each kind of entry that was deleted or changed: ${how}`, () =>
      inNewNamespace(() => {
        using rtnl = openRtnl();
        const index = device(rtnl, family);
        const all = wishesOf(family, index, without, 1, 2, 3);
        settle(rtnl, index, all);
        const tables = () => readTables(KINDS, new KernelSockets(rtnl), { family, device: index });
        const route = () => tables().of(routeKind).entries.get(subnetOf(family, 2))!;
        const neighbour = tables().of(neighbourKind).entries.get(gatewayOf(family, 2))!;
        const fdb = tables().of(fdbKind).entries.get("02:00:00:00:01:02")!;
        const send = (write: (batch: Batch) => void) => {
          const batch = new Batch();
          write(batch);
          rtnl.request(batch);
        };

        deleteRoute(rtnl, route());
        assert.equal(settle(rtnl, index, all), 1);
        send((batch) => encodeNeighbour(batch, "delete", neighbour));
        assert.equal(settle(rtnl, index, all), 1);
        send((batch) =>
          encodeNeighbour(batch, "replace", { ...neighbour, mac: "02:99:00:00:00:00" })
        );
        assert.equal(settle(rtnl, index, all), 1);
        send((batch) => encodeFdb(batch, "delete", fdb));
        assert.equal(settle(rtnl, index, all), 1);
        send((batch) =>
          encodeFdb(batch, "replace", { ...fdb, dst: family === 4 ? "192.168.9.99" : "fd09::99" })
        );
        assert.equal(settle(rtnl, index, all), 1);
        // A second route to the same subnet, and one to nowhere of ours, both marked as knet's.
        addRoute(
          rtnl,
          routeOf({
            dst: subnetOf(family, 2),
            gateway: gatewayOf(family, 3),
            ifindex: index,
            onlink: true,
            protocol: KNET_PROTOCOL,
            priority: 77,
          }),
        );
        assert.equal(settle(rtnl, index, all), 1);
        if (nexthopObjects) {
          const hop = tables().of(nexthopKind).entries.get(gatewayOf(family, 2))!;
          send((batch) => encodeNexthop(batch, "delete", hop));
          assert.equal(settle(rtnl, index, all), 2, "the kernel took the route along");
        }
        const change = (what: readonly object[], one: object, write: (changed: object) => void) => {
          for (const how of what) {
            const before = tables();
            write({ ...one, ...how });
            // A route is shown as what its next hop is.
            const operations = "blackhole" in how ? 2 : 1;
            assert.equal(settle(rtnl, index, all, before), operations, JSON.stringify(how));
          }
        };
        // Every attribute that knet sets, changed by hand.
        change(
          [{ port: 4789 }, { vni: 9 }, { via: 1 }],
          fdb,
          (changed) => send((batch) => encodeFdb(batch, "replace", changed as FdbEntry)),
        );
        change(
          [{ state: 0x02 }],
          neighbour,
          (changed) => send((batch) => encodeNeighbour(batch, "replace", changed as Neighbour)),
        );
        const far = family === 4 ? "10.244.0.77" : "fd00::77";
        addAddress(rtnl, {
          ifindex: index,
          address: far,
          prefixLength: family === 4 ? 32 : 128,
        });
        const plain = knetRoute({
          family,
          dst: subnetOf(family, 2),
          gateway: gatewayOf(family, 2),
          ifindex: index,
          onlink: true,
        });
        change(
          [{ prefSrc: far }, { gateway: gatewayOf(family, 3) }],
          plain,
          (changed) => replaceRoute(rtnl, changed as Route),
        );
        const blackhole = { family, dst: plain.dst, type: 6, protocol: KNET_PROTOCOL } as const;
        deleteRoute(rtnl, route());
        addRoute(rtnl, blackhole);
        assert.equal(settle(rtnl, index, all), 1, "a blackhole in the place of a route");
        if (nexthopObjects) {
          const hop = tables().of(nexthopKind).entries.get(gatewayOf(family, 2))!;
          const { gateway: _, ifindex: _2, ...nowhere } = hop;
          changeLink(rtnl, 1, { up: true }); // A blackhole is on lo.
          change(
            [{ ...hop, gateway: gatewayOf(family, 3) }, { ...hop, protocol: 4 }, {
              ...nowhere,
              onlink: false,
              blackhole: true,
            }],
            {},
            (changed) => send((batch) => encodeNexthop(batch, "replace", changed as Nexthop)),
          );
          // Without a memory the number is another's; all the same no packet is lost for long.
          send((batch) =>
            encodeNexthop(batch, "replace", { ...nowhere, onlink: false, blackhole: true })
          );
          settle(rtnl, index, all);
        }
        changeLink(rtnl, index, { mac: "02:00:00:00:00:08" });
        settle(rtnl, index, all);
        changeLink(rtnl, index, { up: false });
        changeLink(rtnl, index, { up: true });
        settle(rtnl, index, all);
      }));
  }

  Deno.test(`plan() leaves next-hop ids of others alone and goes around them: IPv${family}`, () =>
    inNewNamespace(() => {
      using rtnl = openRtnl();
      const index = device(rtnl, family);
      addLink(rtnl, { name: "left", kind: "veth", up: true, peer: { name: "right" } });
      const left = getLink(rtnl, "left")!.index;
      changeLink(rtnl, getLink(rtnl, "right")!.index, { up: true });
      const other = {
        id: FIRST_NEXTHOP_ID + 1,
        family,
        ifindex: left,
        protocol: 186, // RTPROT_BGP of others
        onlink: false,
        flags: 0,
      };
      const batch = new Batch();
      encodeNexthop(batch, "add", other);
      encodeRoute(
        batch,
        "add",
        routeOf({ dst: family === 4 ? "10.77.0.0/16" : "fd77::/48", nexthopId: other.id }),
      );
      rtnl.request(batch);
      const wishes = wishesOf(family, index, [], 1, 2, 3);
      const sockets = new KernelSockets(rtnl);
      const narrowly: Scope = { family, device: index };
      const widely: Scope = { ...narrowly, wide: true };
      const tables = readTables(KINDS, sockets, widely);
      assert.ok(tables.of(nexthopKind).numbers.has(other.id));
      assert.deepEqual(apply(sockets, plan(wishes, tables, KINDS), tables), []);
      assert.deepEqual(plan(wishes, readTables(KINDS, sockets, widely), KINDS), []);
      const ids = listNexthops(rtnl).map((hop) => [hop.id, hop.protocol]);
      assert.deepEqual(ids, [
        [FIRST_NEXTHOP_ID, 107],
        [FIRST_NEXTHOP_ID + 1, 186],
        [FIRST_NEXTHOP_ID + 2, 107],
        [FIRST_NEXTHOP_ID + 3, 107],
      ]);
      // Without looking at all next hops the id collides: a failure that says so. A wider look puts all right.
      const hop = listNexthops(rtnl).find((hop) => hop.id === FIRST_NEXTHOP_ID + 1);
      const narrow = readTables(KINDS, sockets, narrowly);
      assert.ok(!narrow.of(nexthopKind).numbers.has(other.id));
      const batch2 = new Batch();
      encodeNexthop(batch2, "add", { ...other, id: FIRST_NEXTHOP_ID + 4 });
      rtnl.request(batch2);
      const more = wishesOf(family, index, [], 1, 2, 3, 4, 5);
      const failures = apply(sockets, plan(more, narrow, KINDS), narrow);
      assert.ok(
        failures.some((f) => f.operation.kind.name === "nexthop" && f.error.code === "EEXIST"),
      );
      assert.ok(!listRoutes(rtnl, { family }).some((r) => r.dst === subnetOf(family, 4)));
      const wide = readTables(KINDS, sockets, widely);
      assert.deepEqual(apply(sockets, plan(more, wide, KINDS), wide), []);
      assert.deepEqual(plan(more, readTables(KINDS, sockets, widely), KINDS), []);
      assert.deepEqual(listNexthops(rtnl).find((hop) => hop.id === other.id), hop);
      assert.equal(listNexthops(rtnl).find((hop) => hop.id === other.id)?.protocol, 186);
    }));
}
