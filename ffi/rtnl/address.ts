/**
 * Addresses of interfaces (struct ifaddrmsg, linux/if_addr.h).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress, textFamily } from "../ip.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFADDRMSG,
} from "../linux/if_addr.ts";
import { RTM } from "../linux/rtnetlink.ts";
import type { Mutable } from "../mutable.ts";
import { Batch, verbFlags } from "../netlink/batch.ts";
import { Attributes, type MessageView } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** One address of an interface. */
export interface InterfaceAddress {
  /** Of the address. */
  readonly family: Family;
  /** Index of the interface. */
  readonly ifindex: number;
  /** This host's address. */
  readonly address: string;
  /** Of the network that the interface is in. */
  readonly prefixLength: number;
  /** Broadcast address of that network (IPv4). */
  readonly broadcast?: string;
  /** RT_SCOPE_ number. */
  readonly scope: number;
  /** IFA_F_ bits. */
  readonly flags: number;
  /** Interface name that ifconfig shows for it (IPv4). */
  readonly label?: string;
  /** It has no lifetime. */
  readonly permanent: boolean;
}

/** An address to add or delete. */
export interface AddressSpec {
  /** The default is the address's. */
  readonly family?: Family;
  /** Index of the interface. */
  readonly ifindex: number;
  /** Without prefix length. */
  readonly address: string;
  /** Of the network that the interface is in. */
  readonly prefixLength: number;
  /** RT_SCOPE_ number; the default is 0, global. */
  readonly scope?: number;
  /** The kernel makes no route of the prefix. */
  readonly noprefixroute?: boolean;
}

/** Writes a message that adds or deletes an address. */
export function encodeAddress(batch: Batch, verb: "add" | "delete", spec: AddressSpec): void {
  const family = spec.family ?? textFamily(spec.address);
  const flags = verb === "delete"
    ? 0
    : (spec.noprefixroute ? IFA_F_NOPREFIXROUTE : 0) | (family === 6 ? IFA_F_NODAD : 0);
  batch.begin(
    verb === "delete" ? RTM.DELADDR : RTM.NEWADDR,
    verbFlags(verb),
    () => `${verb} address ${spec.address}/${spec.prefixLength} dev #${spec.ifindex}`,
  );
  batch.u8(afOf(family));
  batch.u8(spec.prefixLength);
  batch.u8(flags & 0xff);
  batch.u8(spec.scope ?? 0);
  batch.u32(spec.ifindex);
  batch.attrAddress(IFA_LOCAL, spec.address);
  batch.attrAddress(IFA_ADDRESS, spec.address);
  if (flags > 0xff) batch.attrU32(IFA_FLAGS, flags);
  batch.end();
}

/**
 * Adds an address.
 *
 * @throws {NetlinkError}
 */
export function addAddress(socket: NetlinkSocket, spec: AddressSpec): void {
  const batch = new Batch(128);
  encodeAddress(batch, "add", spec);
  socket.request(batch);
}

/**
 * Deletes an address.
 *
 * @throws {NetlinkError}
 */
export function deleteAddress(socket: NetlinkSocket, spec: AddressSpec): void {
  const batch = new Batch(128);
  encodeAddress(batch, "delete", spec);
  socket.request(batch);
}

const attributes = new Attributes();

/** Reads an address. */
export function decodeAddress(message: MessageView): InterfaceAddress | undefined {
  const { data, view, offset, end } = message;
  if (end - offset < IFADDRMSG) return undefined;
  const family = familyOfAf(data[offset]!);
  if (family === undefined) return undefined;
  const bytes = family === 4 ? 4 : 16;
  const a = attributes.parse(data, view, offset + IFADDRMSG, end);
  const local = a.at(IFA_LOCAL, bytes);
  const at = local >= 0 ? local : a.at(IFA_ADDRESS, bytes);
  if (at < 0) return undefined;
  const flags = a.u32(IFA_FLAGS) ?? data[offset + 2]!;
  const address: Mutable<InterfaceAddress> = {
    family,
    ifindex: view.getUint32(offset + 4, true),
    address: formatAddress(data, at, family),
    prefixLength: data[offset + 1]!,
    scope: data[offset + 3]!,
    flags,
    permanent: (flags & IFA_F_PERMANENT) !== 0,
  };
  const broadcast = a.at(IFA_BROADCAST, bytes);
  if (broadcast >= 0) address.broadcast = formatAddress(data, broadcast, family);
  const label = a.string(IFA_LABEL);
  if (label !== undefined) address.label = label;
  return address;
}

/**
 * Lists addresses.
 *
 * @throws {NetlinkError}
 */
export function listAddresses(
  socket: NetlinkSocket,
  filter: { readonly family?: Family; readonly ifindex?: number } = {},
): InterfaceAddress[] {
  const addresses: InterfaceAddress[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETADDR, NLM_F_REQUEST | NLM_F_DUMP, () => "list addresses");
    batch.u8(filter.family === undefined ? 0 : afOf(filter.family));
    batch.u8(0);
    batch.u8(0);
    batch.u8(0);
    batch.u32(filter.ifindex ?? 0);
    batch.end();
  }, (message) => {
    const address = message.type === RTM.NEWADDR ? decodeAddress(message) : undefined;
    if (
      address !== undefined &&
      (filter.ifindex === undefined || address.ifindex === filter.ifindex)
    ) addresses.push(address);
  }, { restart: () => addresses.length = 0 });
  return addresses;
}
