/**
 * What all rtnetlink objects share: the socket, the message numbers, the multicast groups (linux/rtnetlink.h).
 *
 * @module
 */
import { NetlinkSocket, type NetlinkSocketOptions } from "../netlink/socket.ts";

const NETLINK_ROUTE = 0; // linux/netlink.h

/** Message types. The three after each NEW are DEL, GET and SET. */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWNETCONF: 80,
  NEWNEXTHOP: 104,
  DELNEXTHOP: 105,
  GETNEXTHOP: 106,
} as const;

/** Multicast groups. */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV4_NETCONF: 24,
  NEXTHOP: 32,
} as const;

/** RTNH_F_ONLINK of linux/rtnetlink.h: the gateway is on the link although no address says so. */
export const RTNH_F_ONLINK = 4;

/** Opens a socket for links, addresses, routes, next hops, neighbours and FDB entries. */
export function openRtnl(options?: NetlinkSocketOptions): NetlinkSocket {
  return NetlinkSocket.open(NETLINK_ROUTE, options);
}
