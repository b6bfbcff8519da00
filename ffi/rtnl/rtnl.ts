/**
 * What all rtnetlink objects share: the socket, the message numbers, the multicast groups.
 *
 * @module
 */
import { NETLINK_ROUTE } from "../linux/netlink.ts";
import { NetlinkSocket, type NetlinkSocketOptions } from "../netlink/socket.ts";

export { RTM, RTNH_F_ONLINK, RTNLGRP } from "../linux/rtnetlink.ts";

/** Opens a socket for links, addresses, routes, next hops, neighbours and FDB entries. */
export function openRtnl(options?: NetlinkSocketOptions): NetlinkSocket {
  return NetlinkSocket.open(NETLINK_ROUTE, options);
}
