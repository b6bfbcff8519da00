/**
 * knet's kernel interface as a library: links, addresses, routes, next hops, neighbours and FDB entries over netlink.
 *
 * @module
 */
export * from "./ffi/netlink/batch.ts";
export * from "./ffi/netlink/error.ts";
export * from "./ffi/netlink/socket.ts";
export * from "./ffi/rtnl/address.ts";
export * from "./ffi/rtnl/events.ts";
export * from "./ffi/rtnl/fdb.ts";
export * from "./ffi/rtnl/link.ts";
export * from "./ffi/rtnl/neighbour.ts";
export * from "./ffi/rtnl/nexthop.ts";
export * from "./ffi/rtnl/route.ts";
export * from "./ffi/rtnl/rtnl.ts";
