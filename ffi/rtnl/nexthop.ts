/**
 * Next-hop objects (linux/nexthop.h, kernel 5.3 and newer).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress, textFamily } from "../ip.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import { NHA_BLACKHOLE, NHA_GATEWAY, NHA_GROUP, NHA_ID, NHA_OIF, NHMSG } from "../linux/nexthop.ts";
import { RTM, RTNH_F_ONLINK, RTPROT_STATIC } from "../linux/rtnetlink.ts";
import type { Mutable } from "../mutable.ts";
import { Batch, verbFlags, type WriteVerb } from "../netlink/batch.ts";
import { NetlinkError } from "../netlink/netlink_error.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** One next hop. */
export interface Nexthop {
  /** What routes name it by. */
  readonly id: number;
  /** Of the gateway. */
  readonly family: Family;
  /** Address of the router; absent: packets go to their destination directly. */
  readonly gateway?: string;
  /** Index of the device. */
  readonly ifindex?: number;
  /** RTPROT_ number of who made it. */
  readonly protocol: number;
  /** The gateway is on the link although no address says so. */
  readonly onlink: boolean;
  /** Ids of its members, if it is a group. */
  readonly group?: readonly number[];
  /** It drops what is sent to it. */
  readonly blackhole?: boolean;
  /** RTNH_F_ bits. */
  readonly flags: number;
}

/** A next hop to write. The family is the gateway's, IPv4 without one; the protocol static. */
export type NexthopSpec = Pick<Nexthop, "id"> & Partial<Omit<Nexthop, "id" | "group" | "flags">>;

function header(batch: Batch, family: number, protocol: number, flags: number): void {
  batch.u32(family | protocol << 16); // A byte each: family, scope, protocol, reserved.
  batch.u32(flags);
}

/** Writes a message that adds, replaces or deletes a next hop by gateway and device. */
export function encodeNexthop(batch: Batch, verb: WriteVerb, nexthop: Nexthop): void {
  batch.begin(
    verb === "delete" ? RTM.DELNEXTHOP : RTM.NEWNEXTHOP,
    verbFlags(verb),
    () => `${verb} next hop ${nexthop.id} via ${nexthop.gateway ?? "nothing"}`,
  );
  if (verb === "delete") {
    header(batch, 0, 0, 0);
    batch.attrU32(NHA_ID, nexthop.id);
  } else {
    header(batch, afOf(nexthop.family), nexthop.protocol, nexthop.onlink ? RTNH_F_ONLINK : 0);
    batch.attrU32(NHA_ID, nexthop.id);
    if (nexthop.ifindex !== undefined) batch.attrU32(NHA_OIF, nexthop.ifindex);
    if (nexthop.gateway !== undefined) batch.attrAddress(NHA_GATEWAY, nexthop.gateway);
    if (nexthop.blackhole) batch.attrFlag(NHA_BLACKHOLE);
  }
  batch.end();
}

const attributes = new Attributes();

/** Reads a next hop. */
export function decodeNexthop(message: MessageView): Nexthop | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < NHMSG) return undefined;
  const a = attributes.parse(data, view, offset + NHMSG, end);
  const id = a.u32(NHA_ID);
  if (id === undefined) return undefined;
  const family = familyOfAf(data[offset]!) ?? 4;
  const flags = view.getUint32(offset + 4, true);
  const nexthop: Mutable<Nexthop> = {
    id,
    family,
    protocol: data[offset + 2]!,
    onlink: (flags & RTNH_F_ONLINK) !== 0,
    flags,
  };
  const gateway = a.at(NHA_GATEWAY, family === 4 ? 4 : 16);
  if (gateway >= 0) nexthop.gateway = formatAddress(data, gateway, family);
  const ifindex = a.u32(NHA_OIF);
  if (ifindex !== undefined) nexthop.ifindex = ifindex;
  if (a.at(NHA_BLACKHOLE) >= 0) nexthop.blackhole = true;
  const group = a.at(NHA_GROUP);
  if (group >= 0) {
    const members: number[] = [];
    // struct nexthop_grp: u32 id and four bytes of weight
    for (let at = 0; at + 8 <= a.length(NHA_GROUP); at += 8) {
      members.push(view.getUint32(group + at, true));
    }
    nexthop.group = members;
  }
  return nexthop;
}

/**
 * Lists next hops.
 *
 * @param filter.ifindex Only those of this device; filtered in the kernel.
 * @throws {NetlinkError}
 */
export function listNexthops(
  socket: NetlinkSocket,
  filter: { readonly ifindex?: number } = {},
): Nexthop[] {
  const nexthops: Nexthop[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP, () => "list next hops");
    header(batch, 0, 0, 0);
    if (filter.ifindex !== undefined) batch.attrU32(NHA_OIF, filter.ifindex);
    batch.end();
  }, (message) => {
    const nexthop = message.type === RTM.NEWNEXTHOP ? decodeNexthop(message) : undefined;
    if (nexthop !== undefined) nexthops.push(nexthop);
  }, { restart: () => nexthops.length = 0 });
  return nexthops;
}

/** Whether the kernel has next-hop objects. */
export function nexthopsSupported(socket: NetlinkSocket): boolean {
  try {
    listNexthops(socket, { ifindex: 1 });
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && (error.code === "EOPNOTSUPP" || error.code === "EINVAL")) {
      return false;
    }
    throw error;
  }
}

function write(socket: NetlinkSocket, verb: WriteVerb, spec: NexthopSpec): void {
  const batch = new Batch(128);
  encodeNexthop(batch, verb, {
    family: textFamily(spec.gateway ?? ""),
    protocol: RTPROT_STATIC,
    onlink: false,
    ...spec,
    flags: 0,
  });
  socket.request(batch);
}

/**
 * Adds a next hop, which routes then name by its id. For more than a few, put them into a batch with {@linkcode encodeNexthop}.
 *
 * @throws {NetlinkError} EEXIST if the id is taken, EOPNOTSUPP before kernel 5.3.
 *
 * @example
 * ```ts
 * import { addAddress, addLink, addRoute, getLink, listRoutes } from "@knet/knet";
 * import { newNetns, openRtnl, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns();
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, { name: "br0", kind: "bridge", up: true });
 *   const ifindex = getLink(rtnl, "br0")!.index;
 *   addAddress(rtnl, { ifindex, address: "10.0.0.1", prefixLength: 24 });
 *
 *   addNexthop(rtnl, { id: 1, ifindex, gateway: "10.0.0.2" });
 *   addRoute(rtnl, { dst: "10.9.0.0/16", nexthopId: 1 });
 *   const route = listRoutes(rtnl, { family: 4 }).find((one) => one.dst === "10.9.0.0/16");
 *   assert.equal(route?.gateway, "10.0.0.2");
 *   deleteNexthop(rtnl, 1); // and the kernel deletes the route with it
 * });
 * ```
 */
export function addNexthop(socket: NetlinkSocket, nexthop: NexthopSpec): void {
  write(socket, "add", nexthop);
}

/**
 * Adds a next hop or overwrites the one with its id, for all routes that name it at once.
 *
 * @throws {NetlinkError}
 */
export function replaceNexthop(socket: NetlinkSocket, nexthop: NexthopSpec): void {
  write(socket, "replace", nexthop);
}

/**
 * Deletes a next hop. The kernel deletes the routes that name it, and sends no message about them.
 *
 * @throws {NetlinkError} ENOENT if there is none.
 */
export function deleteNexthop(socket: NetlinkSocket, id: number): void {
  write(socket, "delete", { id });
}
