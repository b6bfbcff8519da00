import assert from "node:assert/strict";
import { RTN_UNREACHABLE } from "../../ffi/linux/rtnetlink.ts";
import { routeOf, type RouteSpec } from "../../ffi/rtnl/route.ts";
import { devicesBehind, type WayFacts, waysOut } from "./way_out.ts";

const ETH0 = 2, ETH1 = 3, TUN0 = 4;

const hop = (ifindex: number, flags = 0) => ({ ifindex, weight: 1, flags });

/** The devices of each way, from routes and the kernel's answer: a device, and the entry that matched. */
function devices(
  routes: readonly RouteSpec[],
  answer?: { dev: number; entry: RouteSpec },
  more: Partial<WayFacts> = {},
): (readonly number[])[] {
  return waysOut({
    routes: routes.map(routeOf),
    ...(answer && {
      answer: {
        route: routeOf({ dst: "193.0.6.139/32", ifindex: answer.dev }),
        entry: routeOf(answer.entry),
      },
    }),
    ...more,
  }, 4).map((way) => way.devices);
}

const byEth0: RouteSpec = { dst: "0.0.0.0/0", gateway: "192.168.2.1", ifindex: ETH0 };

Deno.test("waysOut() takes default routes of the main table by their metric, as the kernel does", () => {
  const second = { ...byEth0, ifindex: ETH1, priority: 200 };
  assert.deepEqual(devices([second, { ...byEth0, priority: 100 }]), [[ETH0], [ETH1]]);
  assert.deepEqual(devices([second, byEth0], { dev: ETH1, entry: second }), [[ETH1], [ETH0]]);
});

Deno.test("waysOut() takes a default route in each of its forms", () => {
  const several = { dst: "0.0.0.0/0", multipath: true, hops: [hop(ETH0), hop(ETH1)] };
  const forms: readonly [string, RouteSpec, readonly number[]][] = [
    ["onlink", { ...byEth0, onlink: true }, [ETH0]],
    ["by a router of the other family", { ...byEth0, gateway: "fe80::1" }, [ETH0]],
    ["by a device alone", { dst: "0.0.0.0/0", ifindex: TUN0 }, [TUN0]],
    ["by a next-hop object that shows its device", { ...byEth0, nexthopId: 7 }, [ETH0]],
    ["with several next hops", several, [ETH0, ETH1]],
    ["one of them without carrier", { ...several, hops: [hop(ETH0, 16), hop(ETH1)] }, [ETH1, ETH0]],
    ["one of them down", { ...several, hops: [hop(ETH0, 1), hop(ETH1)] }, [ETH1]],
  ];
  for (const [form, route, found] of forms) {
    assert.deepEqual(devices([route]), [found], form);
    assert.deepEqual(devices([route], { dev: found.at(-1)!, entry: route }), [found], form);
  }
});

Deno.test("waysOut() reads next-hop objects and groups where routes show nothing but their ids", () => {
  const one = (id: number, ifindex: number) => ({
    id,
    ifindex,
    family: 4 as const,
    protocol: 4,
    onlink: false,
    flags: 0,
  });
  const { ifindex: _, ...group } = { ...one(9, 0), group: [7, 8, 6] };
  const nexthops = [one(7, ETH0), one(8, ETH1), { ...one(6, 1), blackhole: true }, group];
  const by = (nexthopId: number) =>
    devices([{ dst: "0.0.0.0/0", nexthopId }], undefined, { nexthops });
  assert.deepEqual(by(7), [[ETH0]]);
  assert.deepEqual(by(9), [[ETH0, ETH1]]);
  assert.deepEqual(by(6), []);
  assert.deepEqual(by(5), []);
});

Deno.test("waysOut() stays with a default route that a VPN leads all traffic away from", () => {
  const half = { dst: "128.0.0.0/1", ifindex: TUN0 };
  const halves = [{ ...half, dst: "0.0.0.0/1" }, half];
  assert.deepEqual(devices([byEth0, ...halves], { dev: TUN0, entry: half })[0], [ETH0]);
  const table = { dst: "0.0.0.0/0", ifindex: TUN0, table: 51820 };
  assert.deepEqual(devices([byEth0], { dev: TUN0, entry: table }), [[ETH0], [TUN0]]);
});

Deno.test("waysOut() takes two halves, another table and any other way where there is no default route", () => {
  const half = { dst: "128.0.0.0/1", ifindex: TUN0 };
  const halves = [{ ...half, dst: "0.0.0.0/1" }, half];
  assert.deepEqual(devices(halves, { dev: TUN0, entry: half })[0], [TUN0]);
  assert.deepEqual(devices(halves)[0], [TUN0]);
  const table = { ...byEth0, table: 100 };
  assert.deepEqual(devices([], { dev: ETH0, entry: table }), [[ETH0]], "by a rule");
  assert.deepEqual(devices([table]), [[ETH0]], "a VRF's, which the kernel does not tell of");
  const part = { dst: "193.0.0.0/21", gateway: "192.168.2.1", ifindex: ETH1 };
  assert.deepEqual(devices([part], { dev: ETH1, entry: part }), [[ETH1]], "a router's whole table");
});

Deno.test("waysOut() passes over what leads nowhere, and other families and kinds of service", () => {
  assert.deepEqual(
    devices([
      { dst: "0.0.0.0/0", type: RTN_UNREACHABLE, priority: 1 },
      { ...byEth0, tos: 8 },
      { dst: "::/0", gateway: "fe80::1", ifindex: ETH0 },
      { dst: "10.0.0.0/8", gateway: "192.168.2.1", ifindex: ETH0 },
    ]),
    [],
  );
});

Deno.test("devicesBehind() finds the devices that other routers are behind, knet's own left out", () => {
  const routes = [
    { dst: "10.255.0.2/32", multipath: true, hops: [hop(ETH0), hop(ETH1)] },
    { dst: "192.168.9.0/24", ifindex: 5 },
    { dst: "10.244.2.0/24", gateway: "10.244.2.0", ifindex: 6, protocol: 107 },
    { dst: "10.255.0.3/32", gateway: "192.168.2.1", ifindex: ETH0 },
  ].map(routeOf);
  assert.deepEqual(devicesBehind({ routes }, 4), [ETH0, ETH1]);
});
