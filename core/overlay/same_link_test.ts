import assert from "node:assert/strict";
import { RTN_BLACKHOLE } from "../../ffi/linux/rtnetlink.ts";
import { type InterfaceAddress } from "../../ffi/rtnl/address.ts";
import { type Route, routeOf } from "../../ffi/rtnl/route.ts";
import { concernsLink, nearbyOf, onSameLink } from "./same_link.ts";

const ETH0 = 2;

function address(text: string, flags = 0): InterfaceAddress {
  const [address, length] = text.split("/") as [string, string];
  return {
    family: 4,
    ifindex: ETH0,
    address,
    prefixLength: Number(length),
    scope: 0,
    flags,
    permanent: true,
  };
}

const route = (dst: string, more: Partial<Route> = {}) => routeOf({ dst, ifindex: ETH0, ...more });

function reaches(addresses: InterfaceAddress[], routes: Route[], peer: string): boolean {
  const nearby = nearbyOf(ETH0, addresses, routes);
  return onSameLink({ address: "192.168.2.101", nearby }, peer);
}

Deno.test("nearbyOf() takes the networks of all addresses, with the interface down and without routes", () => {
  const own = [address("192.168.2.101/24"), address("172.16.0.1/22")];
  assert.deepEqual(nearbyOf(ETH0, own, []), [
    { prefix: "192.168.2.0/24", direct: true },
    { prefix: "172.16.0.0/22", direct: true },
  ]);
});

Deno.test("onSameLink() is true for neighbours, false for this host and for those behind the router", () => {
  const own = [address("192.168.2.101/24")];
  const routes = [route("192.168.2.0/24"), route("0.0.0.0/0", { gateway: "192.168.2.1" })];
  assert.equal(reaches(own, routes, "192.168.2.102"), true);
  assert.equal(reaches(own, routes, "192.168.2.101"), false);
  assert.equal(reaches(own, routes, "192.168.3.102"), false);
});

Deno.test("onSameLink() believes a route without gateway, as hosts with a /32 address have one", () => {
  const own = [address("192.168.2.101/32")];
  const routes = [route("192.168.2.1/32"), route("192.168.3.0/24")];
  assert.equal(reaches(own, routes, "192.168.3.7"), true);
  assert.equal(reaches(own, routes, "192.168.2.102"), false);
  assert.equal(reaches(own, [route("192.168.3.0/24", { ifindex: 3 })], "192.168.3.7"), false);
});

Deno.test("onSameLink() leaves out what a more specific route leads elsewhere", () => {
  const own = [address("192.168.2.101/24")];
  for (
    const away of [
      route("192.168.2.128/25", { gateway: "192.168.2.1" }),
      route("192.168.2.128/25", { ifindex: 3 }),
      route("192.168.2.128/25", { type: RTN_BLACKHOLE }),
    ]
  ) {
    assert.equal(reaches(own, [away], "192.168.2.102"), true);
    assert.equal(reaches(own, [away], "192.168.2.200"), false);
  }
  const back = [route("192.168.2.128/25", { gateway: "192.168.2.1" }), route("192.168.2.200/32")];
  assert.equal(reaches(own, back, "192.168.2.200"), true);
});

Deno.test("onSameLink() takes no notice of addresses without a route, of knet's routes and of other tables", () => {
  assert.equal(reaches([address("192.168.2.101/24", 0x200)], [], "192.168.2.102"), false);
  const own = [address("192.168.2.101/24")];
  const routes = [
    route("192.168.2.102/32", { gateway: "192.168.2.1", protocol: 107 }),
    route("192.168.2.102/32", { gateway: "192.168.2.1", table: 100 }),
  ];
  assert.equal(reaches(own, routes, "192.168.2.102"), true);
});

Deno.test("concernsLink() heeds routes without gateway and those inside the link's networks", () => {
  const underlay = { ifindex: ETH0, nearby: nearbyOf(ETH0, [address("192.168.2.101/24")], []) };
  assert.equal(concernsLink(underlay, route("192.168.3.0/24")), true);
  assert.equal(concernsLink(underlay, route("192.168.2.9/32", { gateway: "192.168.2.1" })), true);
  assert.equal(concernsLink(underlay, route("198.51.100.0/24", { gateway: "192.168.2.1" })), false);
  assert.equal(concernsLink(underlay, route("10.244.1.0/24", { protocol: 107 })), false);
});
