/**
 * What the plain routes of host-gw cost in the kernel, which compares each new one with all others through the same interface; beside
 * VXLAN's entries, four a peer. `KNET_TEST_PEERS=10000,20000` measures other sizes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { addAddress } from "../../ffi/rtnl/address.ts";
import { addLink, changeLink, getLink } from "../../ffi/rtnl/link.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { Overlay } from "../../core/overlay/overlay.ts";
import { overlayMtu } from "../../core/overlay/backend/backends.ts";
import { type BackendConfig, makeClusterConfig } from "../../core/cluster/config.ts";
import type { Lease } from "../../core/cluster/lease.ts";
import { deriveMac } from "../../core/base/mac.ts";
import { KNET_PROTOCOL } from "../../core/kernel/kind.ts";
import { inNewNamespace } from "../support/namespace.ts";
import { ms, report } from "../support/wait.ts";

const SIZES = (Deno.env.get("KNET_TEST_PEERS") ?? "1000,2000,5000").split(",").map(Number);
const BACKENDS: readonly BackendConfig[] = [
  { type: "host-gw" },
  { type: "vxlan", vni: 1, port: 8472, directRouting: false },
];

function lease(n: number): Lease {
  return {
    nodeId: `n${n}`,
    family: 4,
    nodeName: `n${n}`,
    subnet: `10.${64 + (n >> 12)}.${(n >> 4) & 255}.${(n & 15) * 16}/28`,
    publicIp: `172.16.${n >> 8}.${n & 255}`,
    backend: "host-gw",
    backendData: { vni: 1, mac: deriveMac("test", `${n}`) },
    bootId: "b",
    agentId: "a",
    acquired: 0,
    renewed: 0,
    expires: 0,
    reserved: false,
    revision: n,
  };
}

/** Programs that many peers and one more in this namespace; what it took in words. */
function measure(backend: BackendConfig, peers: number): string {
  using rtnl = openRtnl();
  addLink(rtnl, { name: "eth0", kind: "veth", peer: { name: "eth1" } });
  const { index } = getLink(rtnl, "eth0")!;
  for (const name of ["eth0", "eth1"]) changeLink(rtnl, getLink(rtnl, name)!.index, { up: true });
  addAddress(rtnl, { ifindex: index, address: "172.16.255.254", prefixLength: 12 });
  const overlay = new Overlay(rtnl, { bridge: "knet0", plainRoutes: false });
  const config = { ...makeClusterConfig({ network: "10.64.0.0/11" }), backend };
  const underlay = {
    ifindex: index,
    name: "eth0",
    address: "172.16.255.254",
    prefixLength: 12,
    publicIp: "172.16.255.254",
    nearby: [{ prefix: "172.16.0.0/12", direct: true }],
    mtu: 1500,
  };
  overlay.configure({
    config,
    family: 4,
    nodeId: "own",
    subnet: "10.95.0.0/28",
    backendData: { vni: 1, mac: deriveMac("test", "own") },
    underlay,
    announced: true,
    mtu: overlayMtu(config, underlay, 4),
  });
  overlay.reconcile(); // The devices, which are not what is measured.
  overlay.setPeers(Array.from({ length: peers }, (_, n) => lease(n + 1)));
  const timed = (act: () => { readonly failures: readonly unknown[] }) => {
    const start = performance.now();
    assert.deepEqual(act().failures, []);
    return performance.now() - start;
  };
  const all = timed(() => overlay.reconcile());
  const routes = () => listRoutes(rtnl, { family: 4, protocol: KNET_PROTOCOL }).length;
  assert.equal(routes(), peers);
  const one = timed(() => overlay.changePeers([lease(peers + 1)], []));
  assert.equal(routes(), peers + 1);
  const again = timed(() => {
    const done = overlay.reconcile();
    assert.equal(done.operations, 0, "operations of a second reconcile");
    return done;
  });
  return `${ms(all)}, one more peer ${ms(one)}, a look at everything ${ms(again)}`;
}

for (const peers of SIZES) {
  Deno.test(`Overlay programs ${peers} peers by plain routes and by VXLAN's entries`, async () => {
    for (const backend of BACKENDS) {
      await inNewNamespace(() =>
        report(`${backend.type}, ${peers} peers: ${measure(backend, peers)}`)
      );
    }
  });
}
