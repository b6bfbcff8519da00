/**
 * Constants of linux/rtnetlink.h.
 *
 * @module
 */

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
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
  NEWNETCONF: 80,
  NEWNEXTHOP: 104,
  DELNEXTHOP: 105,
  GETNEXTHOP: 106,
} as const;

/** Multicast groups. */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  TC: 4,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV4_NETCONF: 24,
  NEXTHOP: 32,
} as const;

/** Bytes of struct rtmsg. */
export const RTMSG = 12;

// Attributes of a route.
export const RTA_DST = 1;
export const RTA_SRC = 2;
export const RTA_IIF = 3;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
export const RTA_METRICS = 8;
export const RTA_MULTIPATH = 9;
export const RTA_TABLE = 15;
export const RTA_VIA = 18;
export const RTA_NH_ID = 30;

// Inside RTA_METRICS.
export const RTAX_MTU = 2;

// Who made a route.
export const RTPROT_UNSPEC = 0;
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;

// How far a destination is.
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

// Routing tables.
export const RT_TABLE_UNSPEC = 0;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

// Types of routes.
export const RTN_UNSPEC = 0;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;
export const RTN_THROW = 9;

/** The next hop's device is down. */
export const RTNH_F_DEAD = 1;
/** The gateway is on the link although no address says so. */
export const RTNH_F_ONLINK = 4;
/** The next hop's device has no carrier. */
export const RTNH_F_LINKDOWN = 16;

/** The route is a cached clone. */
export const RTM_F_CLONED = 0x200;
/** A lookup shall show the table that decides, and not always the main one. */
export const RTM_F_LOOKUP_TABLE = 0x1000;
/** A lookup shall show the entry that matched. */
export const RTM_F_FIB_MATCH = 0x2000;

/** Links without their counters. */
export const RTEXT_FILTER_SKIP_STATS = 8;
