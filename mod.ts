/**
 * knet's kernel interface as a library: links, addresses, routes, next hops, neighbours and FDB entries over netlink, IPVS, changes as
 * they come, nftables, network namespaces. Linux, by libnl (packages libnl-3-200 and libnl-route-3-200, or libnl3); writing needs
 * CAP_NET_ADMIN.
 *
 * {@linkcode openRtnl} opens a socket. Each kind of object has `list…`, `add…`, `replace…` or `change…`, and `delete…`, which send
 * one request and throw a {@linkcode NetlinkError} if the kernel refuses. For ten thousand objects there are `encode…` functions
 * that write into one {@linkcode Batch}: many messages go out in one send, and {@linkcode NetlinkSocket.send} says which of them
 * failed. {@linkcode subscribe} tells of changes.
 *
 * @example
 * ```ts
 * import { addAddress, addLink, getLink, listAddresses, openRtnl } from "@knet/knet";
 * import { newNetns, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns(); // or openNetns("blue"), or none: the host's own
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, { name: "left", kind: "veth", up: true, peer: { name: "right" } });
 *   const left = getLink(rtnl, "left")!;
 *   addAddress(rtnl, { ifindex: left.index, address: "10.0.0.1", prefixLength: 24 });
 *   assert.deepEqual(
 *     listAddresses(rtnl, { ifindex: left.index, family: 4 }).map((one) => one.address),
 *     ["10.0.0.1"],
 *   );
 * });
 * ```
 *
 * @example Many objects at once
 * ```ts
 * import { addLink, Batch, encodeNeighbour, getLink, openRtnl } from "@knet/knet";
 * import { newNetns, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns();
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, { name: "br0", kind: "bridge", up: true });
 *   const ifindex = getLink(rtnl, "br0")!.index;
 *   const batch = new Batch();
 *   for (let n = 0; n < 1000; n++) {
 *     const dst = `10.0.${n >> 8}.${n & 255}`;
 *     encodeNeighbour(batch, "add", {
 *       family: 4,
 *       ifindex: n === 500 ? 9999 : ifindex,
 *       dst,
 *       mac: "02:00:00:00:00:02",
 *       state: 0x80, // NUD_PERMANENT
 *       flags: 0,
 *     });
 *   }
 *   const [failure] = rtnl.send(batch);
 *   assert.equal(failure?.index, 500);
 *   assert.equal(failure.error.code, "ENODEV");
 * });
 * ```
 *
 * @module
 */
export { MissingFamilyError } from "./ffi/genl/genl.ts";
export * from "./ffi/genl/ipvs.ts";
export * from "./ffi/genl/ipvs_dest.ts";
export * from "./ffi/genl/ipvs_proc.ts";
export * from "./ffi/genl/ipvs_service.ts";
export type { IpvsStats } from "./ffi/genl/ipvs_stats.ts";
export { SystemError } from "./ffi/libc.ts";
export type { Family } from "./ffi/ip.ts";
export * from "./ffi/libnftables.ts";
export { type LibraryName, type LibraryPackages, MissingLibraryError } from "./ffi/load.ts";
export * from "./ffi/netlink/batch.ts";
export * from "./ffi/netlink/netlink_error.ts";
export * from "./ffi/netlink/message.ts";
export * from "./ffi/netlink/socket.ts";
export { decodeError } from "./ffi/netlink/acknowledgement.ts";
export * from "./ffi/netns.ts";
export * from "./ffi/rtnl/address.ts";
export * from "./ffi/rtnl/events.ts";
export * from "./ffi/rtnl/fdb.ts";
export * from "./ffi/rtnl/link.ts";
export * from "./ffi/rtnl/neighbour.ts";
export * from "./ffi/rtnl/nexthop.ts";
export * from "./ffi/rtnl/route.ts";
export type { RouteHop } from "./ffi/rtnl/route_hop.ts";
export type { RouteMetrics } from "./ffi/rtnl/route_metrics.ts";
export * from "./ffi/rtnl/rtnl.ts";
export * from "./ffi/rtnl/subscribe.ts";
