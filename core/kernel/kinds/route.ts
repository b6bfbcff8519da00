/**
 * Routes of protocol 107 in the main table: to a peer's subnet, or to all peers'. On the overlay's device they are carried by next-hop
 * objects where the kernel has them; through the underlay they are plain, since a cable pull deletes next-hop objects for good and a
 * plain route waits for the carrier by itself.
 *
 * @module
 */
import {
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTNLGRP,
} from "../../../ffi/linux/rtnetlink.ts";
import { encodeRoute, listRoutes, type Route } from "../../../ffi/rtnl/route.ts";
import type { Family } from "../../cluster/lease.ts";
import { type Kind, KNET_PROTOCOL } from "../kind.ts";
import { nexthop } from "./nexthop.ts";

/** Where a route leads. */
export interface RouteTarget {
  readonly family: Family;
  /** With prefix length. */
  readonly dst: string;
  /** Absent where the device knows itself where packets go. */
  readonly gateway?: string;
  readonly ifindex: number;
  /** The gateway is on the link although no address of ours says so: such a route is carried by a next-hop object. */
  readonly onlink: boolean;
}

/** A route of knet's. */
export function knetRoute(target: RouteTarget): Route {
  return {
    ...target,
    protocol: KNET_PROTOCOL,
    // IPv6 has no scopes.
    scope: target.gateway === undefined && target.family === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
    table: RT_TABLE_MAIN,
    type: RTN_UNICAST,
    flags: 0,
  };
}

/** Whether a route has the metric that one without a metric gets: IPv6 knows no zero, and writes IP6_RT_PRIO_USER of linux/ipv6_route.h. */
function isPlainMetric({ family, priority }: Route): boolean {
  return !priority || (family === 6 && priority === 1024);
}

function sameTarget(wanted: Route, present: Route, nexthopId: number | undefined): boolean {
  // A route by a next-hop object shows that one's gateway and device.
  if (nexthopId !== undefined) return present.nexthopId === nexthopId;
  return present.nexthopId === undefined && present.gateway === wanted.gateway &&
    present.ifindex === wanted.ifindex && present.onlink === wanted.onlink &&
    !present.multipath;
}

/** The kind. */
export const route: Kind<Route> = {
  name: "route",
  rank: 3,
  key: (entry) =>
    entry.table === RT_TABLE_MAIN && isPlainMetric(entry) && !entry.tos ? entry.dst : undefined,
  same: (wanted, present, nexthopId) =>
    sameTarget(wanted, present, nexthopId) && present.type === wanted.type &&
    present.protocol === wanted.protocol && present.prefSrc === wanted.prefSrc &&
    (wanted.family === 6 || present.scope === wanted.scope) && !present.metrics,
  encode: encodeRoute,
  list: (socket, { family }) =>
    listRoutes(socket, { family, protocol: KNET_PROTOCOL, table: RT_TABLE_MAIN }),
  ours: ({ protocol, table, family }, scope) =>
    protocol === KNET_PROTOCOL && table === RT_TABLE_MAIN && family === scope.family,
  groups: (family) => [family === 4 ? RTNLGRP.IPV4_ROUTE : RTNLGRP.IPV6_ROUTE],
  told: (event) => event.kind === "route" ? event.value : undefined,
  carrier: {
    kind: nexthop as Kind,
    key: ({ onlink, gateway }) => onlink ? gateway : undefined,
    of: ({ nexthopId }) => nexthopId,
    assign: ({ family, dst, protocol, scope, table, type, flags }, nexthopId) => ({
      family,
      dst,
      nexthopId,
      protocol,
      scope,
      table,
      type,
      onlink: false,
      flags,
    }),
  },
};
