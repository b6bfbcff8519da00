/**
 * Which hosts are on the underlay's own link, so that a plain route may name them as gateway.
 *
 * @module
 */
import { IFA_F_NOPREFIXROUTE } from "../../ffi/linux/if_addr.ts";
import { RTN_UNICAST } from "../../ffi/linux/rtnetlink.ts";
import type { InterfaceAddress } from "../../ffi/rtnl/address.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import { networkOf, prefixContains } from "../base/address.ts";
import { KNET_PROTOCOL } from "../kernel/kind.ts";
import { RT_TABLE_MAIN } from "../../ffi/linux/rtnetlink.ts";

/** A network around the underlay interface. */
export interface Nearby {
  readonly prefix: string;
  /** Its hosts answer on the link itself; false: the administrator routes them another way. */
  readonly direct: boolean;
}

/** Whether a route says that its destination is on an interface's link. */
function isDirect(route: Route, ifindex: number): boolean {
  return route.type === RTN_UNICAST && route.ifindex === ifindex && route.gateway === undefined &&
    route.nexthopId === undefined && !route.multipath;
}

const lengthOf = (prefix: string) => Number(prefix.slice(prefix.indexOf("/") + 1));

/** Whether one network is a true part of another. Lengths first: a router has a million routes, and most are too short. */
function isPartOf(part: string, whole: string): boolean {
  return lengthOf(part) > lengthOf(whole) && prefixContains(whole, part);
}

/**
 * The networks on an interface's link, and what inside them is not; the most specific first. They are those of its addresses, which
 * stay while the interface is down and has no routes, and those of its routes without gateway. A more specific route
 * that leads elsewhere takes its part out.
 *
 * @param own Addresses of the interface, all of one family.
 * @param routes All of the host.
 */
export function nearbyOf(
  ifindex: number,
  own: readonly InterfaceAddress[],
  routes: readonly Route[],
): Nearby[] {
  const family = own[0]?.family;
  const direct = new Set<string>();
  for (const { address, prefixLength, flags } of own) {
    if ((flags & IFA_F_NOPREFIXROUTE) === 0) direct.add(networkOf(address, prefixLength));
  }
  const others = routes.filter((route) =>
    route.family === family && route.table === RT_TABLE_MAIN && route.protocol !== KNET_PROTOCOL &&
    !route.dst.endsWith("/0")
  );
  for (const route of others) if (isDirect(route, ifindex)) direct.add(route.dst);
  const elsewhere = new Set<string>();
  for (const { dst } of others) {
    if (!direct.has(dst) && [...direct].some((prefix) => isPartOf(dst, prefix))) elsewhere.add(dst);
  }
  return [
    ...[...direct].map((prefix) => ({ prefix, direct: true })),
    ...[...elsewhere].map((prefix) => ({ prefix, direct: false })),
  ].sort((a, b) => lengthOf(b.prefix) - lengthOf(a.prefix) || (a.prefix < b.prefix ? -1 : 1));
}

/** Whether an address is another host's on the underlay's own link. */
export function onSameLink(
  underlay: { readonly address: string; readonly nearby: readonly Nearby[] },
  address: string,
): boolean {
  if (address === underlay.address) return false;
  return underlay.nearby.find(({ prefix }) => prefixContains(prefix, address))?.direct ?? false;
}

/** Whether a route that came or went may change who is on the link. */
export function concernsLink(
  underlay: { readonly ifindex: number; readonly nearby: readonly Nearby[] },
  route: Route,
): boolean {
  if (route.protocol === KNET_PROTOCOL || route.table !== RT_TABLE_MAIN) return false;
  return isDirect(route, underlay.ifindex) ||
    underlay.nearby.some(({ prefix, direct }) => direct && isPartOf(route.dst, prefix));
}
