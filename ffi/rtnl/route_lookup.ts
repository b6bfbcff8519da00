/**
 * Asks the kernel which way it would send a packet (RTM_GETROUTE without a dump).
 *
 * @module
 */
import { afOf, textFamily } from "../ip.ts";
import { NLM_F_ACK, NLM_F_REQUEST } from "../linux/netlink.ts";
import {
  RTA_DST,
  RTA_IIF,
  RTA_OIF,
  RTA_SRC,
  RTM,
  RTM_F_FIB_MATCH,
  RTM_F_LOOKUP_TABLE,
} from "../linux/rtnetlink.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { decodeAnyRoute, type Route } from "./route.ts";

/** The packet that is asked about. */
export interface RouteLookup {
  /** Destination address. */
  readonly dst: string;
  /** Source address. Together with `iif` it need not be the host's own. */
  readonly src?: string;
  /** Index of the device that it came in by: it is then forwarded, and its source is checked as `rp_filter` says. */
  readonly iif?: number;
  /** Index of the device that it is to leave by, as of a socket bound to it; that of a VRF, or a device in one, asks the VRF's table. */
  readonly oif?: number;
  /** The entry of the routing table that decides, in place of the route that was made of it. Linux 4.13 and newer. */
  readonly entry?: boolean;
}

/**
 * Looks a route up as the kernel does for a packet.
 *
 * @returns the route, with the table that it is in; with `entry` its destination is the prefix that matched, and protocol and next-hop id are the entry's.
 * @throws {NetlinkError} ENETUNREACH or EHOSTUNREACH if there is none, EXDEV or EINVAL if the source is refused.
 *
 * @example
 * ```ts ignore
 * using rtnl = openRtnl();
 * getRoute(rtnl, { dst: "10.244.3.7", entry: true }).dst; // "10.244.3.0/24"
 * ```
 */
export function getRoute(socket: NetlinkSocket, lookup: RouteLookup): Route {
  const family = textFamily(lookup.dst);
  const bits = family === 4 ? 32 : 128;
  let found: Route | undefined;
  // Not a dump, but answered alike: one route, then the acknowledgement that was asked for.
  socket.dump((batch) => {
    batch.begin(
      RTM.GETROUTE,
      NLM_F_REQUEST | NLM_F_ACK,
      () => `find a route to ${lookup.dst}${lookup.src === undefined ? "" : ` from ${lookup.src}`}`,
    );
    batch.u8(afOf(family));
    batch.u8(bits);
    batch.u8(lookup.src === undefined ? 0 : bits);
    batch.u8(0);
    batch.u32(0); // table, protocol, scope, type: strict checking wants zeros.
    batch.u32(RTM_F_LOOKUP_TABLE | (lookup.entry ? RTM_F_FIB_MATCH : 0));
    batch.attrAddress(RTA_DST, lookup.dst);
    if (lookup.src !== undefined) batch.attrAddress(RTA_SRC, lookup.src);
    if (lookup.iif !== undefined) batch.attrU32(RTA_IIF, lookup.iif);
    if (lookup.oif !== undefined) batch.attrU32(RTA_OIF, lookup.oif);
    batch.end();
  }, (message) => {
    if (message.type === RTM.NEWROUTE) found = decodeAnyRoute(message);
  });
  if (found === undefined) throw new TypeError(`The kernel gave no route to ${lookup.dst}`);
  return found;
}
