/**
 * Neighbour entries: ARP and neighbour discovery (struct ndmsg, linux/neighbour.h).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress, formatMac, textFamily } from "../ip.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import {
  NDA_DST,
  NDA_IFINDEX,
  NDA_LLADDR,
  NDA_PROTOCOL,
  NDMSG,
  NUD_PERMANENT,
} from "../linux/neighbour.ts";
import { RTM } from "../linux/rtnetlink.ts";
import type { Mutable } from "../mutable.ts";
import { Batch, verbFlags, type WriteVerb } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** One neighbour. */
export interface Neighbour {
  /** Of `dst`. */
  readonly family: Family;
  /** Index of the device. */
  readonly ifindex: number;
  /** The neighbour's address. */
  readonly dst: string;
  /** Link-layer address; absent while it is not resolved. */
  readonly mac?: string;
  /** NUD_ bits. */
  readonly state: number;
  /** NTF_ bits. */
  readonly flags: number;
  /** RTPROT_ number of who made it, if it says so. */
  readonly protocol?: number;
}

/** A neighbour to write: permanent unless `state` says otherwise. */
export type NeighbourSpec =
  & Pick<Neighbour, "ifindex" | "dst">
  & Partial<Omit<Neighbour, "ifindex" | "dst">>;

/** Writes a struct ndmsg. */
export function neighbourHeader(
  batch: Batch,
  af: number,
  ifindex: number,
  state: number,
  flags: number,
): void {
  batch.u32(af); // One byte and three of padding.
  batch.u32(ifindex);
  batch.u32(state | flags << 16); // Two bytes, one, and the type, which nobody sets.
}

/** Writes a message that adds, replaces or deletes a neighbour. */
export function encodeNeighbour(batch: Batch, verb: WriteVerb, neighbour: Neighbour): void {
  batch.begin(
    verb === "delete" ? RTM.DELNEIGH : RTM.NEWNEIGH,
    verbFlags(verb),
    () => `${verb} neighbour ${neighbour.dst} lladdr ${neighbour.mac} dev #${neighbour.ifindex}`,
  );
  neighbourHeader(
    batch,
    afOf(neighbour.family),
    neighbour.ifindex,
    verb === "delete" ? 0 : neighbour.state,
    neighbour.flags,
  );
  batch.attrAddress(NDA_DST, neighbour.dst);
  if (verb !== "delete") {
    if (neighbour.mac !== undefined) batch.attrMac(NDA_LLADDR, neighbour.mac);
    if (neighbour.protocol !== undefined) batch.attrU8(NDA_PROTOCOL, neighbour.protocol);
  }
  batch.end();
}

const attributes = new Attributes();

/** Reads a neighbour; undefined for FDB entries and other families. */
export function decodeNeighbour(message: MessageView): Neighbour | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < NDMSG) return undefined;
  const family = familyOfAf(data[offset]!);
  if (family === undefined) return undefined;
  const a = attributes.parse(data, view, offset + NDMSG, end);
  const dst = a.at(NDA_DST, family === 4 ? 4 : 16);
  if (dst < 0) return undefined;
  const neighbour: Mutable<Neighbour> = {
    family,
    ifindex: view.getUint32(offset + 4, true),
    dst: formatAddress(data, dst, family),
    state: view.getUint16(offset + 8, true),
    flags: data[offset + 10]!,
  };
  const mac = a.at(NDA_LLADDR, 6);
  if (mac >= 0 && a.length(NDA_LLADDR) === 6) neighbour.mac = formatMac(data, mac);
  const protocol = a.u8(NDA_PROTOCOL);
  if (protocol !== undefined) neighbour.protocol = protocol;
  return neighbour;
}

/**
 * Lists neighbours.
 *
 * @param filter.ifindex Only those of this device; filtered in the kernel.
 * @throws {NetlinkError}
 */
export function listNeighbours(
  socket: NetlinkSocket,
  filter: { readonly family?: Family; readonly ifindex?: number } = {},
): Neighbour[] {
  const neighbours: Neighbour[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, () => "list neighbours");
    neighbourHeader(batch, filter.family === undefined ? 0 : afOf(filter.family), 0, 0, 0);
    if (filter.ifindex !== undefined) batch.attrU32(NDA_IFINDEX, filter.ifindex);
    batch.end();
  }, (message) => {
    const neighbour = message.type === RTM.NEWNEIGH ? decodeNeighbour(message) : undefined;
    if (
      neighbour !== undefined &&
      (filter.ifindex === undefined || neighbour.ifindex === filter.ifindex)
    ) neighbours.push(neighbour);
  }, { restart: () => neighbours.length = 0 });
  return neighbours;
}

function write(socket: NetlinkSocket, verb: WriteVerb, spec: NeighbourSpec): void {
  const batch = new Batch(128);
  const family = spec.family ?? textFamily(spec.dst);
  encodeNeighbour(batch, verb, { state: NUD_PERMANENT, flags: 0, ...spec, family });
  socket.request(batch);
}

/**
 * Adds a neighbour. For more than a few, put them into a batch with {@linkcode encodeNeighbour}.
 *
 * @throws {NetlinkError} EEXIST if the device has an entry for this address.
 *
 * @example
 * ```ts
 * import { addLink, getLink, newNetns, openRtnl, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns();
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, { name: "br0", kind: "bridge", up: true });
 *   const ifindex = getLink(rtnl, "br0")!.index;
 *
 *   addNeighbour(rtnl, { ifindex, dst: "10.0.0.2", mac: "02:00:00:00:00:02" });
 *   replaceNeighbour(rtnl, { ifindex, dst: "10.0.0.2", mac: "02:00:00:00:00:03" });
 *   const neighbours = listNeighbours(rtnl, { ifindex, family: 4 });
 *   const found = neighbours.find((neighbour) => neighbour.dst === "10.0.0.2");
 *   assert.equal(found?.mac, "02:00:00:00:00:03");
 *   deleteNeighbour(rtnl, { ifindex, dst: "10.0.0.2" });
 * });
 * ```
 */
export function addNeighbour(socket: NetlinkSocket, neighbour: NeighbourSpec): void {
  write(socket, "add", neighbour);
}

/**
 * Adds a neighbour or overwrites the one with its address.
 *
 * @throws {NetlinkError}
 */
export function replaceNeighbour(socket: NetlinkSocket, neighbour: NeighbourSpec): void {
  write(socket, "replace", neighbour);
}

/**
 * Deletes the neighbour with an address.
 *
 * @throws {NetlinkError} ENOENT if there is none.
 */
export function deleteNeighbour(
  socket: NetlinkSocket,
  neighbour: Pick<NeighbourSpec, "ifindex" | "dst" | "flags">,
): void {
  write(socket, "delete", neighbour);
}
