/**
 * By which devices a host reaches the rest of the world. The kernel knows best: default routes come with several next hops, as next-hop
 * objects and groups of them, by a router of the other family, in two halves, in other tables by rule. Pure.
 *
 * Only where a VPN leads all traffic away from a default route that is there (two halves, a table of its own), that route counts: the
 * other hosts are mostly not in the VPN, and the tunnel must not depend on whether it is on at the moment.
 *
 * @module
 */
import {
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
} from "../../ffi/linux/rtnetlink.ts";
import type { Nexthop } from "../../ffi/rtnl/nexthop.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import type { Family } from "../cluster/lease.ts";
import { KNET_PROTOCOL } from "../kernel/kind.ts";

/** The kernel's answer to the question for the way to a public address. */
export interface Answer {
  /** The route that it made for it: one next hop, and the address that it would send from. */
  readonly route: Route;
  /** The entry that matched, with all its next hops. */
  readonly entry: Route;
}

/** What a host's ways are read from. */
export interface WayFacts {
  /** Absent: the kernel knows no way. */
  readonly answer?: Answer;
  /** Of the main table, and of all where nothing else tells. */
  readonly routes: readonly Route[];
  /** Empty unless a route shows nothing but the id of one. */
  readonly nexthops?: readonly Nexthop[];
}

/** One way out: what one route leads by, several devices for one with several next hops. */
export interface WayOut {
  /** Indexes, at least one; those with a carrier first. */
  readonly devices: readonly number[];
  /** Address that the kernel would send from. It may be another device's, where the way's own has none. */
  readonly source?: string;
}

/** Whether a route is for all the world, or for half of it. */
function isDefault({ dst, type, tos }: Route): boolean {
  return /\/[01]$/.test(dst) && type === RTN_UNICAST && !tos;
}

const isWhole = ({ dst }: Route) => dst.endsWith("/0");

function devicesOf(route: Route, nexthops: readonly Nexthop[]): number[] {
  const { hops } = route;
  if (hops !== undefined) {
    const alive = hops.filter(({ flags }) => (flags & RTNH_F_DEAD) === 0);
    const down = ({ flags }: { flags: number }) => Number((flags & RTNH_F_LINKDOWN) !== 0);
    return alive.sort((a, b) => down(a) - down(b)).map(({ ifindex }) => ifindex);
  }
  if (route.ifindex !== undefined) {
    return (route.flags & RTNH_F_DEAD) === 0 ? [route.ifindex] : [];
  }
  // With net.ipv4.nexthop_compat_mode=0 a route shows the object's id only.
  const named = nexthops.find(({ id }) => id === route.nexthopId);
  const members = named?.group?.map((id) => nexthops.find((one) => one.id === id)) ?? [named];
  return members.flatMap((one) => one?.ifindex === undefined || one.blackhole ? [] : one.ifindex);
}

/** The ways out of a host, the best first. */
export function waysOut({ answer, routes, nexthops = [] }: WayFacts, family: Family): WayOut[] {
  const way = (route: Route): WayOut => ({
    devices: devicesOf(route, nexthops),
    ...(route.prefSrc !== undefined && { source: route.prefSrc }),
  });
  const defaults = routes.filter((route) => route.family === family && isDefault(route))
    .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  const inMain = defaults.filter((route) => route.table === RT_TABLE_MAIN);
  const whole = inMain.filter(isWhole).map(way);
  const asked: WayOut[] = [];
  if (answer !== undefined) {
    const { ifindex, prefSrc } = answer.route;
    const several = devicesOf(answer.entry, nexthops);
    asked.push({
      devices: ifindex === undefined || several.includes(ifindex) ? several : [ifindex],
      ...(prefSrc !== undefined && { source: prefSrc }),
    });
    // Of default routes in the main table the kernel passes over one whose device is down.
    const same = whole.findIndex(({ devices }) =>
      ifindex !== undefined && devices.includes(ifindex)
    );
    if (isWhole(answer.entry) && same >= 0) {
      whole.splice(same, 1);
      whole.unshift(asked.pop()!);
    }
  }
  const others = [
    ...inMain.filter((route) => !isWhole(route)),
    ...defaults.filter((route) => route.table !== RT_TABLE_MAIN),
  ].map(way);
  return [...whole, ...asked, ...others].filter(({ devices }) => devices.length > 0);
}

/** The devices behind which other routers are, knet's own left out. */
export function devicesBehind({ routes, nexthops = [] }: WayFacts, family: Family): number[] {
  const devices = routes.filter((route) =>
    route.family === family && route.table === RT_TABLE_MAIN && route.type === RTN_UNICAST &&
    route.protocol !== KNET_PROTOCOL &&
    (route.gateway ?? route.hops ?? route.nexthopId) !== undefined
  ).flatMap((route) => devicesOf(route, nexthops));
  return [...new Set(devices)];
}
