/**
 * Next-hop objects (linux/nexthop.h, kernel 5.3 and newer).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress } from "../ip.ts";
import {
  type Batch,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  verbFlags,
  type WriteVerb,
} from "../netlink/batch.ts";
import { NetlinkError } from "../netlink/error.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { RTM, RTNH_F_ONLINK } from "./rtnl.ts";

/** One next hop. */
export interface Nexthop {
  readonly id: number;
  readonly family: Family;
  readonly gateway?: string;
  /** Index of the device. */
  readonly ifindex?: number;
  /** RTPROT_ number of who made it. */
  readonly protocol: number;
  readonly onlink: boolean;
  /** Ids of its members, if it is a group. */
  readonly group?: readonly number[];
  readonly blackhole?: boolean;
  /** RTNH_F_ bits. */
  readonly flags: number;
}

const NHA_ID = 1;
const NHA_GROUP = 2;
const NHA_BLACKHOLE = 4;
const NHA_OIF = 5;
const NHA_GATEWAY = 6;
const NHMSG = 8; // struct nhmsg

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
  const nexthop: { -readonly [key in keyof Nexthop]: Nexthop[key] } = {
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
