import assert from "node:assert/strict";
import {
  RT_TABLE_LOCAL,
  RTN_BLACKHOLE,
  RTN_LOCAL,
  RTN_UNREACHABLE,
} from "../../ffi/linux/rtnetlink.ts";
import { routeOf, type RouteSpec } from "../../ffi/rtnl/route.ts";
import { sampleLink } from "../../tests/support/samples.ts";
import { otherRoutes, routeWarning } from "./other_routes.ts";

const LINKS = [
  sampleLink({ index: 1, name: "lo" }),
  sampleLink({ index: 2, name: "eth0" }),
  sampleLink({ index: 3, name: "tun0" }),
  sampleLink({ index: 4, name: "knet.1" }),
];
const CLUSTER = { network: "10.244.0.0/16", serviceNetwork: "10.96.0.0/16" };

/** Each route that is found, with a "!" if it is in the way. */
function found(routes: readonly RouteSpec[], cluster: { network: string } = CLUSTER): string[] {
  const ours = (device: string) => device.startsWith("knet");
  return otherRoutes(routes.map(routeOf), LINKS, cluster, ours)
    .map(({ text, inTheWay }) => `${inTheWay ? "!" : ""}${text}`);
}

Deno.test("otherRoutes() finds what is equal to the cluster network or inside in the way, of any kind", () => {
  for (
    const [route, text] of [
      [{ dst: "10.244.0.0/16", ifindex: 3 }, "!10.244.0.0/16 dev tun0"],
      [{ dst: "10.244.7.0/24", gateway: "192.168.2.1", ifindex: 2 }, "!10.244.7.0/24 dev eth0"],
      [{ dst: "10.244.7.0/24", multipath: true }, "!10.244.7.0/24"],
      [{ dst: "10.244.7.7/32", ifindex: 2 }, "!10.244.7.7/32 dev eth0"],
      [{ dst: "10.244.0.0/16", type: RTN_BLACKHOLE }, "!blackhole 10.244.0.0/16"],
      [{ dst: "10.244.9.0/24", type: RTN_UNREACHABLE }, "!unreachable 10.244.9.0/24"],
      [
        { dst: "10.244.7.7/32", ifindex: 1, type: RTN_LOCAL, table: RT_TABLE_LOCAL },
        "!local 10.244.7.7/32 dev lo",
      ],
    ] as const
  ) assert.deepEqual(found([route]), [text]);
});

Deno.test("otherRoutes() finds what is wider than the cluster network, and that it is not in the way", () => {
  for (
    const [route, text] of [
      [{ dst: "10.0.0.0/8", gateway: "10.8.0.1", ifindex: 3 }, "10.0.0.0/8 dev tun0"],
      [{ dst: "10.0.0.0/8", type: RTN_BLACKHOLE }, "blackhole 10.0.0.0/8"],
      [{ dst: "0.0.0.0/1", ifindex: 3 }, "0.0.0.0/1 dev tun0"],
      [{ dst: "10.244.0.0/15", ifindex: 2, protocol: 2 }, "10.244.0.0/15 dev eth0"],
    ] as const
  ) assert.deepEqual(found([route], { network: CLUSTER.network }), [text]);
  assert.deepEqual(found([{ dst: "fd00::/8", ifindex: 3 }], { network: "fd00:244::/56" }), [
    "fd00::/8 dev tun0",
  ]);
});

Deno.test("otherRoutes() passes over default routes, knet's own, other networks and other tables", () => {
  assert.deepEqual(
    found([
      { dst: "0.0.0.0/0", gateway: "192.168.2.1", ifindex: 2 },
      { dst: "10.244.8.0/24", ifindex: 2, protocol: 107 },
      { dst: "10.244.8.0/24", ifindex: 4 },
      { dst: "10.245.0.0/16", ifindex: 2 },
      { dst: "128.0.0.0/1", ifindex: 3 },
      { dst: "10.244.9.0/24", ifindex: 2, table: 100 },
      { dst: "10.96.0.1/32", ifindex: 1, type: RTN_LOCAL, table: RT_TABLE_LOCAL },
    ]),
    [],
  );
});

Deno.test("otherRoutes() looks at the network of the virtual IPs too, which may be a part of the hosts' own", () => {
  assert.deepEqual(
    found([
      { dst: "10.96.0.0/17", ifindex: 2, protocol: 2 },
      { dst: "10.96.7.0/24", gateway: "192.168.2.1", ifindex: 2 },
    ]),
    ["!10.96.7.0/24 dev eth0", "10.96.0.0/17 dev eth0"],
  );
});

Deno.test("routeWarning() says where the packets go", () => {
  const warning = (route: RouteSpec, cluster = CLUSTER) =>
    otherRoutes([routeOf(route)], LINKS, cluster, () => false).map(routeWarning);
  assert.deepEqual(warning({ dst: "10.192.0.0/10", ifindex: 3 }), [
    "The route 10.192.0.0/10 dev tun0 is wider than 10.244.0.0/16: packets to addresses of it that nobody has go that way",
  ]);
  assert.match(warning({ dst: "10.0.0.0/8", type: RTN_BLACKHOLE })[1]!, /10\.96.* end there$/);
  assert.match(
    warning({ dst: "10.96.3.0/24", ifindex: 2, protocol: 2 })[0]!,
    /is inside 10\.96\.0\.0\/16: its addresses are no virtual IPs$/,
  );
});
