// Which addresses and routes of virtual IPs come and go, without a kernel.
import assert from "node:assert/strict";
import {
  RT_SCOPE_HOST,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RTN_LOCAL,
} from "../../../ffi/linux/rtnetlink.ts";
import type { Route } from "../../../ffi/rtnl/route.ts";
import type { Forward } from "../../services/service.ts";
import { KNET_PROTOCOL } from "../kind.ts";
import { mtusOf, type ServiceHost } from "./kernel_services_types.ts";
import { planVips, type VipsActual, vipsAreRight } from "./vips.ts";

const HOST: ServiceHost = {
  nodeId: "one",
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  gateway: "10.244.1.1",
  publicIp: "192.168.9.1",
  mtu: 1450,
  peers: new Set(["192.168.9.2"]),
  devices: [],
};

const server = (vip: string, forward: Forward, ...addresses: string[]) => ({
  service: vip,
  ...{ family: 4 as const, protocol: "tcp" as const, address: vip, port: 80 },
  ...{
    scheduler: "rr" as const,
    schedulerFlags: [],
    persistent: 0,
    persistenceNetmask: 32,
    onePacket: false,
  },
  masquerade: "auto" as const,
  realServers: addresses.map((address) => ({
    ...{ address, port: 80, weight: 1, forward, upper: 0, lower: 0, draining: false },
  })),
});

const VIP = "10.96.0.1";
const desired = (mtu: number) => ({
  ...{ device: "knet-ipvs0", mac: "02:00:00:00:00:01", vips: new Set([VIP]) },
  ...{ source: HOST.gateway, mtus: new Map([[VIP, mtu]]) },
});
const route = (mtu?: number): Route => ({
  ...{ family: 4, dst: `${VIP}/32`, ifindex: 7, prefSrc: HOST.gateway, protocol: KNET_PROTOCOL },
  ...{ table: RT_TABLE_LOCAL, scope: RT_SCOPE_HOST, type: RTN_LOCAL, onlink: false, flags: 0 },
  ...(mtu !== undefined && { metrics: true, mtu }),
});
const actual = (...routes: Route[]): VipsActual => ({
  ...{ index: 7, up: true, routes },
  addresses: [{
    ...{ family: 4, ifindex: 7, address: VIP, prefixLength: 32, scope: RT_SCOPE_UNIVERSE },
    ...{ flags: 0, permanent: true },
  }],
});

Deno.test("mtusOf() leaves room for a tunnel's header where one real server is reached by it", () => {
  const mtus = mtusOf([
    server("10.96.0.1", "nat", "10.244.2.2"),
    server("10.96.0.2", "tunnel", "10.244.1.2"),
    // Direct routing to another knet host goes by a tunnel, too.
    server("10.96.0.3", "dr", "10.244.1.2", "10.244.2.2"),
    server("10.96.0.4", "dr", "10.244.1.2"),
    server("10.96.0.5", "dr", "192.168.9.2"),
    // Of two services with one address, the smaller.
    server("10.96.0.2", "nat", "10.244.2.2"),
    server("10.96.0.6", "nat"),
  ], HOST);
  assert.deepEqual(Object.fromEntries(mtus), {
    "10.96.0.1": 1450,
    "10.96.0.2": 1430,
    "10.96.0.3": 1430,
    "10.96.0.4": 1450,
    "10.96.0.5": 1430,
    "10.96.0.6": 1450,
  });
});

Deno.test("planVips() makes a route again that has no MTU, or another one", () => {
  assert.ok(vipsAreRight(desired(1450), actual(route(1450))));
  for (const wrong of [route(), route(65536), { ...route(1450), prefSrc: VIP }]) {
    assert.ok(!vipsAreRight(desired(1450), actual(wrong)));
    const plan = planVips(desired(1450), actual(wrong));
    assert.deepEqual([plan.removeRoutes, plan.addRoutes], [[wrong], [VIP]]);
    assert.deepEqual([plan.removeAddresses, plan.addAddresses], [[], []]);
  }
});

Deno.test("planVips() makes no routes where there is no source, as in containers", () => {
  const { vips, device, mac } = desired(0);
  const plan = planVips({ vips, device, mac }, { ...actual(), addresses: [] });
  assert.deepEqual([plan.addAddresses, plan.addRoutes], [[VIP], []]);
});
