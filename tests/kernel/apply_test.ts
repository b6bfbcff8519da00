// apply() sends a cluster's worth of operations in several sends; what it says of each must still be true.
import assert from "node:assert/strict";
import { apply } from "../../core/kernel/apply.ts";
import { plan } from "../../core/kernel/plan.ts";
import { emptyDesired, emptyTables, readTables, want } from "../../core/kernel/tables.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
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
    const desired = emptyDesired();
    const refused: string[] = [];
    for (let n = 1; n <= PEERS; n++) {
      const gateway = `10.${n >> 8}.${n & 255}.0`;
      const hex = n.toString(16).padStart(4, "0");
      const mac = `02:00:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`;
      // The neighbour of every hundredth peer names a device that is not there.
      const lost = n % 100 === 50;
      if (lost) refused.push(gateway);
      want(desired, {
        route: {
          family: 4,
          dst: `${gateway}/24`,
          gateway,
          ifindex: device,
          onlink: true,
          byNexthop: true,
        },
        neighbour: { family: 4, ifindex: lost ? MISSING_DEVICE : device, dst: gateway, mac },
        fdb: { ifindex: device, mac, dst: "192.168.9.2" },
      });
    }
    const tables = emptyTables();
    const options = { nexthopObjects: true };
    const failures = apply(rtnl, plan(desired, tables, options), tables);
    assert.deepEqual(
      failures.map(({ operation, error }) => [
        operation.kind === "neighbour" ? operation.value.dst : operation.kind,
        error.code,
      ]),
      refused.map((gateway) => [gateway, "ENODEV"]),
    );
    const dumped = readTables(rtnl, 4, device, options);
    for (const kind of ["routes", "nexthops", "neighbours", "fdb"] as const) {
      const keys = [...tables[kind].keys()];
      assert.equal(keys.length, dumped[kind].size, kind);
      assert.deepEqual(keys.filter((key) => !dumped[kind].has(key)), [], kind);
    }
    assert.equal(dumped.neighbours.size, PEERS - refused.length);
  }));
