/**
 * Constants of linux/if_link.h, and the one of linux/veth.h.
 *
 * @module
 */

/** Bytes of struct ifinfomsg (linux/rtnetlink.h). */
export const IFINFOMSG = 16;

// Attributes of a link.
export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
export const IFLA_LINKINFO = 18;
export const IFLA_IFALIAS = 20;
export const IFLA_AF_SPEC = 26;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_LINK_NETNSID = 37;

// Inside IFLA_LINKINFO.
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_INFO_SLAVE_KIND = 4;
export const IFLA_INFO_SLAVE_DATA = 5;
/** Inside IFLA_INFO_SLAVE_DATA of a bridge's port: whether a frame may leave by the port that it came in by (hairpin). */
export const IFLA_BRPORT_MODE = 4;

// Inside IFLA_INFO_DATA of a VXLAN device.
export const IFLA_VXLAN_ID = 1;
export const IFLA_VXLAN_LINK = 3;
export const IFLA_VXLAN_LOCAL = 4;
export const IFLA_VXLAN_LEARNING = 7;
export const IFLA_VXLAN_PORT = 15;
export const IFLA_VXLAN_LOCAL6 = 17;
export const IFLA_VXLAN_COLLECT_METADATA = 25;

/** Inside IFLA_INFO_DATA of a veth pair (linux/veth.h). */
export const VETH_INFO_PEER = 1;

// Inside AF_INET6 inside IFLA_AF_SPEC.
export const IFLA_INET6_CONF = 2;
export const IFLA_INET6_ADDR_GEN_MODE = 8;
/** Place in IFLA_INET6_CONF, an array of 32-bit numbers (linux/ipv6.h). */
export const DEVCONF_DISABLE_IPV6 = 26;
/** No IPv6 link-local address is made. */
export const IN6_ADDR_GEN_MODE_NONE = 1;
