// Two leases that claim one VTEP's MAC address: whoever is older is reached, and the other is told of.
import assert from "node:assert/strict";
import type { Lease } from "../../core/cluster/lease.ts";
import { Overlays } from "../../core/overlay/overlays.ts";
import { overlayMtu } from "../../core/overlay/backend/backends.ts";
import { listFdb } from "../../ffi/rtnl/fdb.ts";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { addLink, getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { inNewNamespace } from "../support/namespace.ts";
import { sampleConfig, sampleLease } from "../support/samples.ts";

const MAC = "02:00:00:00:00:09";

Deno.test("Overlays reaches the older of two leases with one MAC address, and the other when it goes", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, { name: "eth0", kind: "bridge", up: true });
    const { index } = getLink(rtnl, "eth0")!;
    addAddress(rtnl, { ifindex: index, address: "192.168.2.101", prefixLength: 24 });
    const overlays = new Overlays(rtnl, { bridge: "knet0", plainRoutes: false }, () => {});
    const config = sampleConfig({ network: "172.26.0.0/16", serviceNetwork: "10.96.0.0/16" });
    const underlay = {
      ...{ ifindex: index, name: "eth0", address: "192.168.2.101", prefixLength: 24, mtu: 1500 },
      ...{ publicIp: "192.168.2.101", nearby: [{ prefix: "192.168.2.0/24", direct: true }] },
    };
    overlays.configure({
      ...{ config, family: 4, nodeId: "own", subnet: "172.26.0.0/24", underlay, announced: true },
      ...{
        backendData: { vni: 1, mac: "02:00:00:00:00:01" },
        mtu: overlayMtu(config, underlay, 4),
      },
    });
    const lease = (n: number, acquired: number): Lease =>
      sampleLease({
        ...{ nodeId: `n${n}`, subnet: `172.26.${n}.0/24`, publicIp: `192.168.2.${n}`, acquired },
        backendData: { vni: 1, mac: MAC },
      });
    const older = lease(1, 1000), younger = lease(2, 2000);
    const reached = () =>
      listFdb(rtnl, { ifindex: overlays.all[0]!.device }).find(({ mac }) => mac === MAC)?.dst;
    for (const order of [[older, younger], [younger, older]]) {
      overlays.setPeers(order);
      overlays.reconcile();
      assert.equal(reached(), "192.168.2.1");
      assert.match(overlays.contests.join(), /"n1" and "n2" claim .* "n1" is older/);
    }
    overlays.changePeers([], ["n2/4"]);
    assert.equal(reached(), "192.168.2.1", "the intruder goes and takes nothing along");
    assert.deepEqual(overlays.contests, []);
    overlays.changePeers([younger], []);
    overlays.changePeers([], ["n1/4"]);
    assert.equal(reached(), "192.168.2.2", "the other's turn");
  }));
