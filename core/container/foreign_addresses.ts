/**
 * Addresses of this host's subnet that others than knet have given out: CNI's host-local plugin on the same bridge, and whoever else
 * speaks there.
 *
 * @module
 */
import { join } from "node:path";
import {
  NUD_DELAY,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from "../../ffi/linux/neighbour.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { listNeighbours, type Neighbour } from "../../ffi/rtnl/neighbour.ts";
import { canonicalAddress, familyOf, parsePrefix, prefixContains } from "../base/address.ts";
import type { ContainerRecord } from "./record.ts";
import { containerMac } from "./wire_names.ts";

/** Where host-local keeps its leases by default: a folder a network, in it a file an address. */
export const HOST_LOCAL = "/var/lib/cni/networks";

/** States in which somebody answers now, or is said to be there by an administrator. */
const ANSWERS = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

/** Addresses of others. */
export interface ForeignAddresses {
  /** Held now, with who holds them, for messages. */
  readonly held: ReadonlyMap<string, string>;
  /** Somebody spoke with them, who may be gone. */
  readonly doubtful: ReadonlySet<string>;
}

/**
 * What host-local has given out of a subnet.
 *
 * @param folder the default is where it keeps its leases by default.
 * @returns addresses with the names of their networks; none if the folder cannot be read.
 */
export function hostLocalAddresses(subnet: string, folder = HOST_LOCAL): Map<string, string> {
  const prefix = parsePrefix(subnet);
  const found = new Map<string, string>();
  for (const network of names(folder)) {
    for (const name of names(join(folder, network))) {
      // Beside the addresses lie a lock and last_reserved_ip.0.
      if (!/^[0-9a-fA-F.:]+$/.test(name)) continue;
      const address = canonicalOf(name);
      if (address !== undefined && prefixContains(prefix, address)) found.set(address, network);
    }
  }
  return found;
}

/** Names in a folder; none if there is no such folder, or this process may not read it. */
function names(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function canonicalOf(text: string): string | undefined {
  try {
    return canonicalAddress(text);
  } catch {
    return undefined;
  }
}

/**
 * What others said of themselves on the bridge. Whom knet attached is known by the MAC address, which knet made from the address.
 *
 * @param own containers of knet.
 */
export function foreignNeighbours(
  neighbours: readonly Neighbour[],
  subnet: string,
  own: readonly Pick<ContainerRecord, "address">[],
): { answering: string[]; stale: string[] } {
  const ours = new Set(own.map(({ address }) => address));
  const answering: string[] = [];
  const stale: string[] = [];
  for (const { dst, mac, state } of neighbours) {
    if (mac === undefined || !prefixContains(subnet, dst)) continue;
    if (ours.has(dst) || mac === containerMac(dst)) continue;
    if ((state & ANSWERS) !== 0) answering.push(dst);
    else if ((state & NUD_STALE) !== 0) stale.push(dst);
  }
  return { answering, stale };
}

/**
 * Looks who else has addresses of the subnet.
 *
 * @param place.ifindex the bridge's.
 * @throws {NetlinkError} if the kernel refuses.
 */
export function findForeign(
  rtnl: NetlinkSocket,
  place: { readonly ifindex: number; readonly bridge: string; readonly subnet: string },
  own: readonly Pick<ContainerRecord, "address">[],
  folder?: string,
): ForeignAddresses {
  const { ifindex, subnet } = place;
  const held = new Map<string, string>();
  for (const [address, network] of hostLocalAddresses(subnet, folder)) {
    held.set(address, `CNI's host-local plugin (network "${network}")`);
  }
  const neighbours = listNeighbours(rtnl, { family: familyOf(subnet), ifindex });
  const { answering, stale } = foreignNeighbours(neighbours, subnet, own);
  for (const address of answering) {
    if (!held.has(address)) held.set(address, `somebody on "${place.bridge}" who is not knet's`);
  }
  return { held, doubtful: new Set(stale) };
}
