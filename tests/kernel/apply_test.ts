// apply() sends a cluster's worth of operations in several sends; what it says of each must still be true.
import assert from "node:assert/strict";
import { apply } from "../../core/kernel/apply.ts";
import { plan } from "../../core/kernel/plan.ts";
import { KernelSockets, type Kind, wish } from "../../core/kernel/kind.ts";
import { fdb, fdbEntry } from "../../core/kernel/kinds/fdb.ts";
import { KINDS } from "../../core/kernel/kinds/kinds.ts";
import { neighbour, permanentNeighbour } from "../../core/kernel/kinds/neighbour.ts";
import { nexthop, onlinkNexthop } from "../../core/kernel/kinds/nexthop.ts";
import { knetRoute, route } from "../../core/kernel/kinds/route.ts";
import { readTables, Tables } from "../../core/kernel/tables.ts";
import { Wishes } from "../../core/kernel/wishes.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { listFdb } from "../../ffi/rtnl/fdb.ts";
import { addLink, changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { inNewNamespace } from "../support/namespace.ts";

const PEERS = 3000; // Some 600 KiB of messages.
const MISSING_DEVICE = 9999;

Deno.test("apply() names what was refused in any of its sends and notes what was not", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, {
      name: "knet.7",
      kind: "vxlan",
      mac: "02:00:00:00:00:07",
      mtu: 1450,
      addrGenMode: 1,
      vxlan: { vni: 7, port: 8472, local: "192.168.9.1", learning: false },
    });
    const device = getLink(rtnl, "knet.7")!.index;
    changeLink(rtnl, device, { up: true });
    addAddress(rtnl, { ifindex: device, address: "10.0.0.0", prefixLength: 32 });
    const wishes = new Wishes();
    const refused: string[] = [];
    for (let n = 1; n <= PEERS; n++) {
      const gateway = `10.${n >> 8}.${n & 255}.0`;
      const hex = n.toString(16).padStart(4, "0");
      const mac = `02:00:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`;
      // The neighbour of every hundredth peer names a device that is not there.
      const lost = n % 100 === 50;
      if (lost) refused.push(gateway);
      const claim = { since: n, owner: "" };
      wishes.add([
        wish(fdb, fdbEntry(device, mac, "192.168.9.2"), claim),
        wish(
          neighbour,
          permanentNeighbour(4, lost ? MISSING_DEVICE : device, gateway, mac),
          claim,
        ),
        wish(nexthop, onlinkNexthop(4, gateway, device), claim),
        wish(
          route,
          knetRoute({ family: 4, dst: `${gateway}/24`, gateway, ifindex: device, onlink: true }),
          claim,
        ),
      ]);
    }
    const tables = new Tables();
    const sockets = new KernelSockets(rtnl);
    const failures = apply(sockets, plan(wishes, tables, KINDS), tables);
    assert.deepEqual(
      failures.map(({ operation: { kind, value }, error }) => [kind.key(value), error.code]),
      refused.map((gateway) => [gateway, "ENODEV"]),
    );
    const dumped = readTables(KINDS, sockets, { family: 4, device });
    for (const kind of KINDS) {
      const keys = [...tables.of(kind).entries.keys()];
      const there = dumped.of(kind).entries;
      assert.equal(keys.length, there.size, kind.name);
      assert.deepEqual(keys.filter((key) => !there.has(key)), [], kind.name);
    }
    assert.equal(dumped.of(neighbour).entries.size, PEERS - refused.length);
  }));

Deno.test("apply() makes of what cannot be encoded the failure of that one operation", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, {
      name: "knet.7",
      kind: "vxlan",
      up: true,
      vxlan: { vni: 7, port: 8472, learning: false },
    });
    const device = getLink(rtnl, "knet.7")!.index;
    const entry = (mac: string, dst: string) =>
      ({ verb: "add", kind: fdb as Kind, value: fdbEntry(device, mac, dst) }) as const;
    const good = [
      entry("02:00:00:00:00:01", "192.168.9.1"),
      entry("02:00:00:00:00:03", "192.168.9.3"),
    ] as const;
    for (const bad of [entry("02:00:00:00:00:02", "nowhere"), entry("no mac", "192.168.9.2")]) {
      for (const order of [[bad, ...good], [good[0], bad, good[1]], [...good, bad]]) {
        const tables = new Tables();
        const failures = apply(new KernelSockets(rtnl), order, tables);
        assert.deepEqual(failures.map(({ operation }) => operation), [bad]);
        assert.match(failures[0]!.error.message, /^Cannot add fdb (02:00:00:00:00:02|no mac): /);
        assert.equal(tables.of(fdb).entries.size, 2);
        const there = listFdb(rtnl, { ifindex: device }).map(({ dst }) => dst).sort();
        assert.deepEqual(there, ["192.168.9.1", "192.168.9.3"]);
        apply(
          new KernelSockets(rtnl),
          good.map((one) => ({ ...one, verb: "delete" as const })),
          tables,
        );
      }
    }
  }));
