/**
 * Routes (struct rtmsg, linux/rtnetlink.h).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress, textFamily } from "../ip.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import {
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
  RTA_DST,
  RTA_NH_ID,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTM,
  RTM_F_CLONED,
  RTMSG,
  RTN_UNICAST,
  RTN_UNSPEC,
  RTNH_F_ONLINK,
  RTPROT_STATIC,
  RTPROT_UNSPEC,
} from "../linux/rtnetlink.ts";
import type { Mutable } from "../mutable.ts";
import { Batch, verbFlags, type WriteVerb } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import { NetlinkError } from "../netlink/netlink_error.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { readMetrics, type RouteMetrics, writeMtu } from "./route_metrics.ts";
import { readGateway, readHops, type RouteHop, writeGateway } from "./route_hop.ts";

/** One route. */
export interface Route extends RouteMetrics {
  /** Of the destination. */
  readonly family: Family;
  /** Destination with prefix length; the default route is `0.0.0.0/0` or `::/0`. */
  readonly dst: string;
  /** Address of the router, of either family; a route by a next-hop object shows that one's. */
  readonly gateway?: string;
  /** Index of the device. */
  readonly ifindex?: number;
  /** Id of the next-hop object that carries the route. */
  readonly nexthopId?: number;
  /** RTPROT_ number of who made it. */
  readonly protocol: number;
  /** RT_SCOPE_ number. */
  readonly scope: number;
  /** 254 is the main table. */
  readonly table: number;
  /** RTN_ number. */
  readonly type: number;
  /** Type of service that it is for; absent: all. */
  readonly tos?: number;
  /** Metric. */
  readonly priority?: number;
  /** The gateway is on the link although no address says so. */
  readonly onlink: boolean;
  /** Preferred source address. */
  readonly prefSrc?: string;
  /** RTNH_F_ bits of the next hop. */
  readonly flags: number;
  /** It has several next hops. */
  readonly multipath?: boolean;
  /** Those; read, and never written. */
  readonly hops?: readonly RouteHop[];
}

/** Restricts a dump; what is given is filtered in the kernel. */
export interface RouteFilter {
  /** Of the destination. */
  readonly family?: Family;
  /** RTPROT_ number of who made it. */
  readonly protocol?: number;
  /** Index of the device. */
  readonly ifindex?: number;
  /** 254 is the main table. */
  readonly table?: number;
}

function describe(verb: WriteVerb, route: Route): string {
  const via = route.nexthopId !== undefined
    ? ` nhid ${route.nexthopId}`
    : route.gateway === undefined
    ? ""
    : ` via ${route.gateway}`;
  const device = route.ifindex === undefined ? "" : ` dev #${route.ifindex}`;
  return `${verb} route ${route.dst}${via}${device}`;
}

function header(
  batch: Batch,
  family: number,
  length: number,
  r: { table: number; protocol: number; scope: number; type: number; flags: number },
): void {
  batch.u32(family | length << 8); // A byte each: family, lengths of destination and source, TOS.
  batch.u32(
    (r.table < 256 ? r.table : RT_TABLE_UNSPEC) | r.protocol << 8 | r.scope << 16 | r.type << 24,
  );
  batch.u32(r.flags);
}

/** Writes a message that adds, replaces or deletes a route. */
export function encodeRoute(batch: Batch, verb: WriteVerb, route: Route): void {
  batch.begin(
    verb === "delete" ? RTM.DELROUTE : RTM.NEWROUTE,
    verbFlags(verb),
    () => describe(verb, route),
  );
  const slash = route.dst.indexOf("/");
  const length = slash < 0 ? (route.family === 4 ? 32 : 128) : Number(route.dst.slice(slash + 1));
  header(batch, afOf(route.family), length, {
    table: route.table,
    protocol: route.protocol,
    scope: verb === "delete" ? RT_SCOPE_NOWHERE : route.scope,
    type: route.type,
    flags: route.onlink && verb !== "delete" ? RTNH_F_ONLINK : 0,
  });
  if (length > 0) batch.attrAddress(RTA_DST, route.dst);
  batch.attrU32(RTA_TABLE, route.table);
  if (route.priority) batch.attrU32(RTA_PRIORITY, route.priority);
  if (route.nexthopId !== undefined) batch.attrU32(RTA_NH_ID, route.nexthopId);
  else {
    if (route.gateway !== undefined) writeGateway(batch, route.family, route.gateway);
    if (route.ifindex !== undefined) batch.attrU32(RTA_OIF, route.ifindex);
  }
  if (route.prefSrc !== undefined && verb !== "delete") {
    batch.attrAddress(RTA_PREFSRC, route.prefSrc);
  }
  if (route.mtu !== undefined && verb !== "delete") writeMtu(batch, route.mtu);
  batch.end();
}

const attributes = new Attributes();

/** Reads a route; undefined if the message is none of IPv4 or IPv6, or a cached clone of one. */
export function decodeRoute(message: MessageView): Route | undefined {
  const route = decodeAnyRoute(message);
  return route !== undefined && (route.flags & RTM_F_CLONED) === 0 ? route : undefined;
}

/** Reads a route, or the clone that a lookup answers with; undefined if the message is none of IPv4 or IPv6. */
export function decodeAnyRoute(message: MessageView): Route | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < RTMSG) return undefined;
  const family = familyOfAf(data[offset]!);
  if (family === undefined) return undefined;
  const flags = view.getUint32(offset + 8, true);
  const a = attributes.parse(data, view, offset + RTMSG, end);
  const address = (type: number) => {
    const at = a.at(type, family === 4 ? 4 : 16);
    return at < 0 ? undefined : formatAddress(data, at, family);
  };
  const route: Mutable<Route> = {
    family,
    dst: `${address(RTA_DST) ?? (family === 4 ? "0.0.0.0" : "::")}/${data[offset + 1]}`,
    protocol: data[offset + 5]!,
    scope: data[offset + 6]!,
    table: a.u32(RTA_TABLE) ?? data[offset + 4]!,
    type: data[offset + 7]!,
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    flags,
  };
  const gateway = readGateway(a, family);
  if (gateway !== undefined) route.gateway = gateway;
  const ifindex = a.u32(RTA_OIF);
  if (ifindex !== undefined) route.ifindex = ifindex;
  const nexthopId = a.u32(RTA_NH_ID);
  if (nexthopId !== undefined) route.nexthopId = nexthopId;
  const priority = a.u32(RTA_PRIORITY);
  if (priority !== undefined) route.priority = priority;
  const prefSrc = address(RTA_PREFSRC);
  if (prefSrc !== undefined) route.prefSrc = prefSrc;
  const hops = readHops(a, family);
  Object.assign(route, readMetrics(a), hops && { multipath: true, hops });
  if (data[offset + 3] !== 0) route.tos = data[offset + 3]!;
  return route;
}

/**
 * Lists routes.
 *
 * @throws {NetlinkError}
 */
export function listRoutes(socket: NetlinkSocket, filter: RouteFilter = {}): Route[] {
  const routes: Route[] = [];
  try {
    socket.dump((batch) => {
      batch.begin(RTM.GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, () => "list routes");
      header(batch, filter.family === undefined ? 0 : afOf(filter.family), 0, {
        table: RT_TABLE_UNSPEC,
        protocol: filter.protocol ?? 0,
        scope: 0,
        type: 0,
        flags: 0,
      });
      if (filter.table !== undefined) batch.attrU32(RTA_TABLE, filter.table);
      if (filter.ifindex !== undefined) batch.attrU32(RTA_OIF, filter.ifindex);
      batch.end();
    }, (message) => {
      const route = message.type === RTM.NEWROUTE ? decodeRoute(message) : undefined;
      // Kernels without strict checking (before 4.20) send everything.
      if (
        route !== undefined &&
        (filter.family === undefined || route.family === filter.family) &&
        (filter.protocol === undefined || route.protocol === filter.protocol) &&
        (filter.table === undefined || route.table === filter.table) &&
        (filter.ifindex === undefined || route.ifindex === filter.ifindex)
      ) routes.push(route);
    }, { restart: () => routes.length = 0 });
  } catch (error) {
    // A table without any route may not be there yet.
    const empty = error instanceof NetlinkError && error.code === "ENOENT";
    if (!empty || filter.table === undefined) throw error;
  }
  return routes;
}

/** A route to write: what it does not say is as {@linkcode routeOf} has it. */
export type RouteSpec = Partial<Route> & Pick<Route, "dst">;

/** A route as most callers want it: unicast, main table, protocol static. */
export function routeOf(route: RouteSpec): Route {
  return {
    family: textFamily(route.dst),
    protocol: RTPROT_STATIC,
    scope: route.gateway === undefined && route.nexthopId === undefined &&
        textFamily(route.dst) === 4
      ? RT_SCOPE_LINK
      : RT_SCOPE_UNIVERSE,
    table: RT_TABLE_MAIN,
    type: RTN_UNICAST,
    onlink: false,
    flags: 0,
    ...route,
  };
}

function one(socket: NetlinkSocket, verb: WriteVerb, route: Route): void {
  const batch = new Batch(256);
  encodeRoute(batch, verb, route);
  socket.request(batch);
}

/**
 * Adds a route. For more than a few, put them into a batch with {@linkcode encodeRoute}.
 *
 * @throws {NetlinkError} EEXIST if there is a route to the same destination with the same metric.
 *
 * @example
 * ```ts
 * import { addAddress, addLink, getLink, newNetns, openRtnl, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns();
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, { name: "br0", kind: "bridge", up: true });
 *   const ifindex = getLink(rtnl, "br0")!.index;
 *   addAddress(rtnl, { ifindex, address: "10.0.0.1", prefixLength: 24 });
 *
 *   addRoute(rtnl, { dst: "10.9.0.0/16", gateway: "10.0.0.2" });
 *   replaceRoute(rtnl, { dst: "10.9.0.0/16", gateway: "10.0.0.3" });
 *   const route = listRoutes(rtnl, { family: 4 }).find((one) => one.dst === "10.9.0.0/16");
 *   assert.equal(route?.gateway, "10.0.0.3");
 *   deleteRoute(rtnl, { dst: "10.9.0.0/16" });
 * });
 * ```
 */
export function addRoute(socket: NetlinkSocket, route: RouteSpec): void {
  one(socket, "add", routeOf(route));
}

/**
 * Adds a route or overwrites the one to the same destination with the same metric.
 *
 * @throws {NetlinkError}
 */
export function replaceRoute(socket: NetlinkSocket, route: RouteSpec): void {
  one(socket, "replace", routeOf(route));
}

/**
 * Deletes a route. What the description leaves out may be anything, except for the table, which is the main one.
 *
 * @throws {NetlinkError} ESRCH if there is none.
 */
export function deleteRoute(socket: NetlinkSocket, route: RouteSpec): void {
  const any = { protocol: RTPROT_UNSPEC, type: RTN_UNSPEC };
  one(socket, "delete", routeOf({ ...any, ...route }));
}
