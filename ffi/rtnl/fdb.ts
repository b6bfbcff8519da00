/**
 * Forwarding database entries of VXLAN devices and bridges (struct ndmsg with AF_BRIDGE, linux/neighbour.h).
 *
 * @module
 */
import { formatAddress, formatMac } from "../ip.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import {
  NDA_DST,
  NDA_IFINDEX,
  NDA_LLADDR,
  NDA_MASTER,
  NDA_PORT,
  NDA_VLAN,
  NDA_VNI,
  NDMSG,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
} from "../linux/neighbour.ts";
import { RTM } from "../linux/rtnetlink.ts";
import { AF_BRIDGE } from "../linux/socket.ts";
import type { Mutable } from "../mutable.ts";
import { Batch, verbFlags, type WriteVerb } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { neighbourHeader } from "./neighbour.ts";

export { AF_BRIDGE } from "../linux/socket.ts";

/** One forwarding entry. */
export interface FdbEntry {
  /** Index of the device. */
  readonly ifindex: number;
  /** What frames are sent to: `92:8d:c4:85:16:ad`. */
  readonly mac: string;
  /** Underlay address of the VTEP behind the MAC (VXLAN). */
  readonly dst?: string;
  /** VNI of the outer packet, if it is not the device's. */
  readonly vni?: number;
  /** UDP port, if it is not the device's. */
  readonly port?: number;
  /** Index of the device that the outer packet leaves by, if it is given. */
  readonly via?: number;
  /** Index of the bridge. */
  readonly master?: number;
  /** VLAN id (bridges). */
  readonly vlan?: number;
  /** NUD_ bits. */
  readonly state: number;
  /** NTF_ bits: NTF_SELF for the device's own table, NTF_MASTER for its bridge's. */
  readonly flags: number;
}

/** A forwarding entry to write: permanent and in the device's own table unless `state` and `flags` say otherwise. */
export type FdbSpec =
  & Pick<FdbEntry, "ifindex" | "mac">
  & Partial<Omit<FdbEntry, "ifindex" | "mac" | "master">>;

/** Writes a message that adds, replaces, appends or deletes a forwarding entry. */
export function encodeFdb(batch: Batch, verb: WriteVerb, entry: FdbEntry): void {
  batch.begin(
    verb === "delete" ? RTM.DELNEIGH : RTM.NEWNEIGH,
    verbFlags(verb),
    () => `${verb} FDB entry ${entry.mac} dst ${entry.dst ?? "none"} dev #${entry.ifindex}`,
  );
  neighbourHeader(batch, AF_BRIDGE, entry.ifindex, entry.state, entry.flags);
  batch.attrMac(NDA_LLADDR, entry.mac);
  if (entry.dst !== undefined) batch.attrAddress(NDA_DST, entry.dst);
  if (entry.vlan !== undefined) batch.attrU16(NDA_VLAN, entry.vlan);
  if (entry.port !== undefined) batch.attrU16be(NDA_PORT, entry.port);
  if (entry.vni !== undefined) batch.attrU32(NDA_VNI, entry.vni);
  if (entry.via !== undefined) batch.attrU32(NDA_IFINDEX, entry.via);
  batch.end();
}

const attributes = new Attributes();

/** Reads a forwarding entry; undefined if the message is none. */
export function decodeFdb(message: MessageView): FdbEntry | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < NDMSG || data[offset] !== AF_BRIDGE) return undefined;
  const a = attributes.parse(data, view, offset + NDMSG, end);
  const mac = a.at(NDA_LLADDR, 6);
  if (mac < 0) return undefined;
  const entry: Mutable<FdbEntry> = {
    ifindex: view.getUint32(offset + 4, true),
    mac: formatMac(data, mac),
    state: view.getUint16(offset + 8, true),
    flags: data[offset + 10]!,
  };
  const dst = a.at(NDA_DST, 4);
  if (dst >= 0) entry.dst = formatAddress(data, dst, a.length(NDA_DST) >= 16 ? 6 : 4);
  const vni = a.u32(NDA_VNI);
  if (vni !== undefined) entry.vni = vni;
  const port = a.u16be(NDA_PORT);
  if (port !== undefined) entry.port = port;
  const via = a.u32(NDA_IFINDEX);
  if (via !== undefined) entry.via = via;
  const master = a.u32(NDA_MASTER);
  if (master !== undefined) entry.master = master;
  const vlan = a.u16(NDA_VLAN);
  if (vlan !== undefined) entry.vlan = vlan;
  return entry;
}

/**
 * Lists the forwarding entries of one device.
 *
 * @throws {NetlinkError}
 */
export function listFdb(socket: NetlinkSocket, filter: { readonly ifindex: number }): FdbEntry[] {
  const entries: FdbEntry[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, () => "list FDB entries");
    neighbourHeader(batch, AF_BRIDGE, 0, 0, 0);
    batch.attrU32(NDA_IFINDEX, filter.ifindex);
    batch.end();
  }, (message) => {
    const entry = message.type === RTM.NEWNEIGH ? decodeFdb(message) : undefined;
    if (entry?.ifindex === filter.ifindex) entries.push(entry);
  }, { restart: () => entries.length = 0 });
  return entries;
}

function write(socket: NetlinkSocket, verb: WriteVerb, spec: FdbSpec): void {
  const batch = new Batch(128);
  encodeFdb(batch, verb, { state: NUD_NOARP | NUD_PERMANENT, flags: NTF_SELF, ...spec });
  socket.request(batch);
}

/**
 * Adds a forwarding entry. For more than a few, put them into a batch with {@linkcode encodeFdb}.
 *
 * @throws {NetlinkError} EEXIST if the MAC address has an entry.
 *
 * @example
 * ```ts
 * import { addLink, getLink, newNetns, openRtnl, withNetns } from "@knet/knet";
 * import assert from "node:assert/strict";
 *
 * using namespace = newNetns();
 * withNetns(namespace.fd, () => {
 *   using rtnl = openRtnl();
 *   addLink(rtnl, {
 *     name: "vxlan7",
 *     kind: "vxlan",
 *     up: true,
 *     vxlan: { vni: 7, port: 4789, local: "192.168.1.1", learning: false },
 *   });
 *   const ifindex = getLink(rtnl, "vxlan7")!.index;
 *
 *   addFdb(rtnl, { ifindex, mac: "02:00:00:00:00:02", dst: "192.168.1.2" });
 *   const found = listFdb(rtnl, { ifindex }).find((entry) => entry.mac === "02:00:00:00:00:02");
 *   assert.equal(found?.dst, "192.168.1.2");
 *   deleteFdb(rtnl, { ifindex, mac: "02:00:00:00:00:02", dst: "192.168.1.2" });
 * });
 * ```
 */
export function addFdb(socket: NetlinkSocket, entry: FdbSpec): void {
  write(socket, "add", entry);
}

/**
 * Adds a forwarding entry or overwrites the one of its MAC address.
 *
 * @throws {NetlinkError}
 */
export function replaceFdb(socket: NetlinkSocket, entry: FdbSpec): void {
  write(socket, "replace", entry);
}

/**
 * Puts another destination beside those of a MAC address: for `00:00:00:00:00:00`, to which a VXLAN device sends what it floods.
 *
 * @throws {NetlinkError}
 */
export function appendFdb(socket: NetlinkSocket, entry: FdbSpec): void {
  write(socket, "append", entry);
}

/**
 * Deletes a forwarding entry.
 *
 * @throws {NetlinkError} ENOENT if there is none.
 */
export function deleteFdb(socket: NetlinkSocket, entry: FdbSpec): void {
  write(socket, "delete", entry);
}
