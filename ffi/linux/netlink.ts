/**
 * Constants of linux/netlink.h.
 *
 * @module
 */

/** Address family of netlink sockets (linux/socket.h). */
export const AF_NETLINK = 16;
/** Protocol of links, addresses, routes, next hops and neighbours. */
export const NETLINK_ROUTE = 0;
/** Protocol of nftables. */
export const NETLINK_NETFILTER = 12;
/** Protocol of the families that are found by name. */
export const NETLINK_GENERIC = 16;

/** Bytes of struct nlmsghdr. */
export const NLMSG_HDRLEN = 16;
/** Bytes of struct nlattr. */
export const NLA_HDRLEN = 4;

/** A request to the kernel. */
export const NLM_F_REQUEST = 0x001;
/** The kernel shall answer when it is done. */
export const NLM_F_ACK = 0x004;
/** A change went on during the dump. */
export const NLM_F_DUMP_INTR = 0x010;
/** NLM_F_ROOT | NLM_F_MATCH: all objects of a kind. */
export const NLM_F_DUMP = 0x300;
/** Overwrite what is there. */
export const NLM_F_REPLACE = 0x100;
/** Fail if it is there. */
export const NLM_F_EXCL = 0x200;
/** Make it if it is not there. */
export const NLM_F_CREATE = 0x400;
/** Put it behind what is there. */
export const NLM_F_APPEND = 0x800;
/** Of an acknowledgement: the request was left out. */
export const NLM_F_CAPPED = 0x100;
/** Of an acknowledgement: attributes follow. */
export const NLM_F_ACK_TLVS = 0x200;
/** The attribute holds attributes. */
export const NLA_F_NESTED = 0x8000;

/** Message type of failures and acknowledgements. */
export const NLMSG_ERROR = 2;
/** Message type of a dump's end. */
export const NLMSG_DONE = 3;
/** The kernel's words in an extended acknowledgement. */
export const NLMSGERR_ATTR_MSG = 1;

/** Socket option: leave the request out of acknowledgements. */
export const NETLINK_CAP_ACK = 10;
/** Socket option: say in words what was wrong. */
export const NETLINK_EXT_ACK = 11;
/** Socket option: filter dumps, and refuse requests that the kernel does not understand whole. */
export const NETLINK_GET_STRICT_CHK = 12;
