/**
 * knet's own entries in the kernel's tables: what should be there, and what is.
 *
 * @module
 */
import { type FdbEntry, listFdb } from "../../ffi/rtnl/fdb.ts";
import { listNeighbours, type Neighbour } from "../../ffi/rtnl/neighbour.ts";
import { listNexthops, type Nexthop } from "../../ffi/rtnl/nexthop.ts";
import { listRoutes, type Route } from "../../ffi/rtnl/route.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import type { Family } from "../cluster/lease.ts";

/** Routing protocol number that marks routes and next hops as knet's (linux/rtnetlink.h leaves 107 free). */
export const KNET_PROTOCOL = 107;
/** First id of knet's own next-hop objects; "kn" in ASCII above 16 bits of counter. */
export const FIRST_NEXTHOP_ID = 0x6b6e0000;
/** RT_TABLE_MAIN of linux/rtnetlink.h. */
export const MAIN_TABLE = 254;
const RTN_UNICAST = 1; // linux/rtnetlink.h
const NUD_NOARP = 0x40; // linux/neighbour.h

/** A route to a peer's subnet, or to all peers'. */
export interface WantedRoute {
  readonly family: Family;
  /** Subnet of the peer, or the whole network. */
  readonly dst: string;
  /** Absent where the device knows itself where packets go. */
  readonly gateway?: string;
  readonly ifindex: number;
  /** The gateway is on the link although no address of ours says so. */
  readonly onlink: boolean;
  /** Carry it by a next-hop object where the kernel has them; false for routes through the underlay, which a cable pull would delete for good. */
  readonly byNexthop: boolean;
}

/** A permanent neighbour entry. */
export interface WantedNeighbour {
  readonly family: Family;
  readonly ifindex: number;
  readonly dst: string;
  readonly mac: string;
}

/** A permanent entry of a VXLAN device's forwarding database. */
export interface WantedFdb {
  readonly ifindex: number;
  readonly mac: string;
  /** Underlay address of the VTEP that owns the MAC. */
  readonly dst: string;
}

/** The entries of one peer. */
export interface PeerEntries {
  readonly route?: WantedRoute;
  readonly neighbour?: WantedNeighbour;
  readonly fdb?: WantedFdb;
}

/** All entries that should be there. */
export interface Desired {
  /** By destination. */
  readonly routes: Map<string, WantedRoute>;
  /** Gateways of the routes that go by next-hop objects, with the number of routes each. */
  readonly gateways: Map<string, number>;
  /** By address. */
  readonly neighbours: Map<string, WantedNeighbour>;
  /** By MAC address. */
  readonly fdb: Map<string, WantedFdb>;
}

/** The keys of entries that something happened to. */
export interface Touched {
  readonly routes: Set<string>;
  readonly gateways: Set<string>;
  readonly neighbours: Set<string>;
  readonly fdb: Set<string>;
}

/** What is in the kernel of ours. `extra` are entries that cannot be right, such as a second route to the same subnet. */
export interface Tables {
  readonly routes: Map<string, Route>;
  /** By gateway. */
  readonly nexthops: Map<string, Nexthop>;
  readonly neighbours: Map<string, Neighbour>;
  readonly fdb: Map<string, FdbEntry>;
  readonly extra: {
    routes: Route[];
    nexthops: Nexthop[];
    neighbours: Neighbour[];
    fdb: FdbEntry[];
  };
  /** Next-hop ids of our range that are taken, by us or by others. */
  readonly takenIds: Set<number>;
}

/** No entries wanted. */
export function emptyDesired(): Desired {
  return { routes: new Map(), gateways: new Map(), neighbours: new Map(), fdb: new Map() };
}

/** Nothing touched. */
export function nothingTouched(): Touched {
  return { routes: new Set(), gateways: new Set(), neighbours: new Set(), fdb: new Set() };
}

/** No entries present. */
export function emptyTables(): Tables {
  return {
    routes: new Map(),
    nexthops: new Map(),
    neighbours: new Map(),
    fdb: new Map(),
    extra: { routes: [], nexthops: [], neighbours: [], fdb: [] },
    takenIds: new Set(),
  };
}

/** Adds a peer's entries to what should be there, and notes their keys. */
export function want(desired: Desired, entries: PeerEntries, touched?: Touched): void {
  const { route, neighbour, fdb } = entries;
  if (route !== undefined) {
    unwantRoute(desired, route.dst, touched);
    desired.routes.set(route.dst, route);
    touched?.routes.add(route.dst);
    if (route.byNexthop && route.gateway !== undefined) {
      desired.gateways.set(route.gateway, (desired.gateways.get(route.gateway) ?? 0) + 1);
      touched?.gateways.add(route.gateway);
    }
  }
  if (neighbour !== undefined) {
    desired.neighbours.set(neighbour.dst, neighbour);
    touched?.neighbours.add(neighbour.dst);
  }
  if (fdb !== undefined) {
    desired.fdb.set(fdb.mac, fdb);
    touched?.fdb.add(fdb.mac);
  }
}

/** Takes a peer's entries back, as far as they are still its own, and notes their keys. */
export function unwant(desired: Desired, entries: PeerEntries, touched?: Touched): void {
  const { route, neighbour, fdb } = entries;
  if (route !== undefined && desired.routes.get(route.dst) === route) {
    unwantRoute(desired, route.dst, touched);
  }
  if (neighbour !== undefined && desired.neighbours.get(neighbour.dst) === neighbour) {
    desired.neighbours.delete(neighbour.dst);
    touched?.neighbours.add(neighbour.dst);
  }
  if (fdb !== undefined && desired.fdb.get(fdb.mac) === fdb) {
    desired.fdb.delete(fdb.mac);
    touched?.fdb.add(fdb.mac);
  }
}

function unwantRoute(desired: Desired, dst: string, touched: Touched | undefined): void {
  const old = desired.routes.get(dst);
  if (old === undefined) return;
  desired.routes.delete(dst);
  touched?.routes.add(dst);
  if (!old.byNexthop || old.gateway === undefined) return;
  const left = (desired.gateways.get(old.gateway) ?? 1) - 1;
  if (left === 0) desired.gateways.delete(old.gateway);
  else desired.gateways.set(old.gateway, left);
  touched?.gateways.add(old.gateway);
}

/** Whether a route has the metric that one without a metric gets: IPv6 knows no zero, and writes IP6_RT_PRIO_USER of linux/ipv6_route.h. */
export function isPlainMetric(route: Pick<Route, "family" | "priority">): boolean {
  return !route.priority || (route.family === 6 && route.priority === 1024);
}

/** Sorts dumped entries into tables. Pure. */
export function sortTables(
  dumps: {
    readonly routes: readonly Route[];
    readonly nexthops: readonly Nexthop[];
    readonly neighbours: readonly Neighbour[];
    readonly fdb: readonly FdbEntry[];
  },
  device: number | undefined,
): Tables {
  const tables = emptyTables();
  for (const route of dumps.routes) {
    if (route.protocol !== KNET_PROTOCOL || route.table !== MAIN_TABLE) continue;
    const plain = isPlainMetric(route) && route.type === RTN_UNICAST &&
      !tables.routes.has(route.dst);
    if (plain) tables.routes.set(route.dst, route);
    else tables.extra.routes.push(route);
  }
  for (const nexthop of dumps.nexthops) {
    if (nexthop.id >= FIRST_NEXTHOP_ID) tables.takenIds.add(nexthop.id);
    if (nexthop.protocol !== KNET_PROTOCOL) continue;
    const plain = nexthop.gateway !== undefined && nexthop.ifindex === device &&
      nexthop.id >= FIRST_NEXTHOP_ID && !tables.nexthops.has(nexthop.gateway);
    if (plain) tables.nexthops.set(nexthop.gateway!, nexthop);
    else tables.extra.nexthops.push(nexthop);
  }
  for (const neighbour of dumps.neighbours) {
    // NUD_NOARP entries are the kernel's own (multicast and broadcast).
    if (neighbour.state & NUD_NOARP) continue;
    tables.neighbours.set(neighbour.dst, neighbour);
  }
  for (const entry of dumps.fdb) {
    if (tables.fdb.has(entry.mac)) tables.extra.fdb.push(entry);
    else tables.fdb.set(entry.mac, entry);
  }
  return tables;
}

/**
 * Reads what is ours from the kernel.
 *
 * @param device Index of the VXLAN device, whose neighbours and FDB entries are all ours; undefined where there is none.
 * @param options.nexthopObjects The kernel has next-hop objects.
 * @param options.allNexthops Look at all next hops of the host, to find foreign ids in our range.
 * @throws {NetlinkError}
 */
export function readTables(
  rtnl: NetlinkSocket,
  family: Family,
  device: number | undefined,
  options: { readonly nexthopObjects: boolean; readonly allNexthops?: boolean },
): Tables {
  return sortTables({
    routes: listRoutes(rtnl, { family, protocol: KNET_PROTOCOL, table: MAIN_TABLE }),
    nexthops: !options.nexthopObjects || device === undefined
      ? []
      : options.allNexthops
      ? listNexthops(rtnl, {}).filter((nexthop) =>
        nexthop.ifindex === device || nexthop.protocol !== KNET_PROTOCOL
      )
      : listNexthops(rtnl, { ifindex: device }),
    neighbours: device === undefined ? [] : listNeighbours(rtnl, { family, ifindex: device }),
    fdb: device === undefined ? [] : listFdb(rtnl, { ifindex: device }),
  }, device);
}
