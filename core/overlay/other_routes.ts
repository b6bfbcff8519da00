/**
 * Routes of others that have to do with the networks of the cluster. knet's own routes are more specific than a wider one, which
 * therefore takes nothing from it: a VPN's 10.0.0.0/8 or a blackhole for all private addresses. What is equal or inside does. Pure.
 *
 * @module
 */
import {
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTPROT_KERNEL,
} from "../../ffi/linux/rtnetlink.ts";
import type { Link } from "../../ffi/rtnl/link.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import { prefixContains, prefixesOverlap } from "../base/address.ts";
import { KNET_PROTOCOL } from "../kernel/kind.ts";

/** The networks of a cluster, as far as they are known. */
export interface ClusterNetworks {
  readonly network: string;
  /** Virtual IPs are taken from it. */
  readonly serviceNetwork?: string;
}

/** One route of somebody else that overlaps a network of the cluster. */
export interface OtherRoute {
  readonly route: Route;
  /** The route as `ip route` names it: `10.0.0.0/8 dev tun0`, `blackhole 10.0.0.0/8`. */
  readonly text: string;
  /** The network of the cluster that it overlaps. */
  readonly network: string;
  /** It takes packets from the cluster; otherwise it only gets those to addresses that nobody has. */
  readonly inTheWay: boolean;
}

/**
 * Finds them: those in the way first. Default routes, knet's own and those of its devices are none.
 *
 * @param routes Of all tables or of the main one.
 * @param links The host's, for their names.
 * @param ours Whether a device by its name is knet's, or works for containers of the same network.
 */
export function otherRoutes(
  routes: readonly Route[],
  links: readonly Link[],
  cluster: ClusterNetworks,
  ours: (device: string) => boolean,
): OtherRoute[] {
  const found: OtherRoute[] = [];
  for (const route of routes) {
    if (route.dst.endsWith("/0") || route.protocol === KNET_PROTOCOL) continue;
    const local = route.table === RT_TABLE_LOCAL && route.type === RTN_LOCAL;
    if (!local && route.table !== RT_TABLE_MAIN) continue;
    const device = deviceOf(route, links);
    if (ours(device)) continue;
    const text = textOf(route, device);
    const { network, serviceNetwork } = cluster;
    if (prefixesOverlap(route.dst, network)) {
      const inTheWay = prefixContains(network, route.dst);
      // An address is never wider than a network.
      if (inTheWay || !local) found.push({ route, text, network, inTheWay });
    }
    // Hosts' own addresses may be in the network of the virtual IPs: those are then left alone.
    if (serviceNetwork === undefined || local || !prefixesOverlap(route.dst, serviceNetwork)) {
      continue;
    }
    const inTheWay = prefixContains(serviceNetwork, route.dst) && route.protocol !== RTPROT_KERNEL;
    found.push({ route, text, network: serviceNetwork, inTheWay });
  }
  // An address after the network that came with it: that one says more.
  const rank = (one: OtherRoute) => (one.inTheWay ? 0 : 2) + (one.route.type === RTN_LOCAL ? 1 : 0);
  return found.sort((a, b) => rank(a) - rank(b));
}

/** Whether a device is knet's, by its name. */
export function isOwnDevice(device: string, bridge: string): boolean {
  return device === bridge || device.startsWith("knet");
}

/** What an administrator should know of a route. */
export function routeWarning({ text, network, route, inTheWay }: OtherRoute): string {
  if (inTheWay) return `The route ${text} takes packets for ${network} away from knet`;
  const fate = route.type === RTN_UNICAST ? "go that way" : "end there";
  return prefixContains(network, route.dst)
    ? `The route ${text} is inside ${network}: its addresses are no virtual IPs`
    : `The route ${text} is wider than ${network}: packets to addresses of it that nobody has ${fate}`;
}

function deviceOf(route: Route, links: readonly Link[]): string {
  return links.find((link) => link.index === route.ifindex)?.name ?? "";
}

/** What `ip route` writes before routes that lead nowhere, by RTN_ number. */
const KINDS: Readonly<Record<number, string>> = {
  [RTN_LOCAL]: "local ",
  [RTN_BLACKHOLE]: "blackhole ",
  [RTN_UNREACHABLE]: "unreachable ",
  [RTN_PROHIBIT]: "prohibit ",
  [RTN_THROW]: "throw ",
};

function textOf(route: Route, device: string): string {
  return `${KINDS[route.type] ?? ""}${route.dst}${device && ` dev ${device}`}`;
}
