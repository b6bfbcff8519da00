/**
 * Reads from the kernel what an underlay is chosen from.
 *
 * @module
 */
import { RT_TABLE_MAIN, RTN_UNICAST } from "../../ffi/linux/rtnetlink.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { listNexthops } from "../../ffi/rtnl/nexthop.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import { getRoute } from "../../ffi/rtnl/route_lookup.ts";
import type { Family } from "../cluster/lease.ts";
import type { UnderlayFacts } from "./underlay.ts";
import type { Answer } from "./way_out.ts";

/**
 * Public addresses that no host has a route of its own to, one in each half of all addresses (of the RIPE NCC, and of DEC's old
 * network and ARIN's). Nothing is sent there.
 */
const FAR: Readonly<Record<Family, readonly string[]>> = {
  4: ["193.0.6.139", "16.0.0.1"],
  6: ["2001:67c:2e8::1", "2620:0:2d0:200::7"],
};

/**
 * Reads it.
 *
 * @throws {NetlinkError}
 */
export function readUnderlayFacts(rtnl: NetlinkSocket, family: Family): UnderlayFacts {
  const answer = askForWay(rtnl, family);
  let routes = listRoutes(rtnl, { family, table: RT_TABLE_MAIN });
  const known = answer !== undefined ||
    routes.some(({ dst, type }) => dst.endsWith("/0") && type === RTN_UNICAST);
  // A VRF has a table of its own, and rules may lead only some packets to one.
  if (!known) routes = listRoutes(rtnl, { family });
  const nameless = routes.some(({ nexthopId, ifindex, hops }) =>
    nexthopId !== undefined && ifindex === undefined && hops === undefined
  );
  return {
    links: listLinks(rtnl),
    addresses: listAddresses(rtnl),
    routes,
    ...(answer !== undefined && { answer }),
    ...(nameless && { nexthops: listNexthops(rtnl) }),
  };
}

/** Asks the kernel for the way to a public address; undefined if it knows none. */
function askForWay(rtnl: NetlinkSocket, family: Family): Answer | undefined {
  for (const dst of FAR[family]) {
    try {
      const route = getRoute(rtnl, { dst });
      if (route.type === RTN_UNICAST) return { route, entry: getRoute(rtnl, { dst, entry: true }) };
    } catch (error) {
      // Unreachable, prohibited or dropped: not what is meant by a way.
      if (!(error instanceof NetlinkError)) throw error;
    }
  }
  return undefined;
}
