/**
 * Which peer an address belongs to: the longest prefix that holds it, over a table that is built once and
 * swapped whole.
 *
 * Prefixes either nest or are disjoint, so they cut the address space into intervals, each with one
 * answer. A search among the intervals' first addresses gives it, whatever lengths there are.
 *
 * @module
 */
import { SOCKADDR_IN } from "../../../ffi/linux/socket.ts";
import { writeSockaddr } from "../../../ffi/packet_io.ts";
import { addressToNumber, parsePrefix } from "../../base/address.ts";

/** A peer as the packet loop knows it. */
export interface UdpPeer {
  /** Its subnet. IPv4. */
  readonly subnet: string;
  /** Its address on the underlay. IPv4. */
  readonly publicIp: string;
}

/** The table, made of buffers that can be handed to another thread. */
export interface PeerTable {
  /** First address of each interval, ascending; the first is 0. */
  readonly starts: Uint32Array<ArrayBuffer>;
  /** Number of the peer that each interval belongs to, -1 for none. */
  readonly owners: Int32Array<ArrayBuffer>;
  /** Underlay address of each peer. */
  readonly addresses: Uint32Array<ArrayBuffer>;
  /** The same, ascending. */
  readonly sorted: Uint32Array<ArrayBuffer>;
  /** struct sockaddr_in of each peer. */
  readonly sockaddrs: Uint8Array<ArrayBuffer>;
}

/** No peer. */
export const NOBODY = -1;

/** The numbers of a prefix's first and last address. */
export function rangeOf(prefix: string): { first: number; last: number; length: number } {
  const { address, length } = parsePrefix(prefix);
  const first = Number(addressToNumber(address));
  return { first, last: first + 2 ** (32 - length) - 1, length };
}

/**
 * Builds the table. Of two peers with the same prefix the later one has it.
 *
 * @param port UDP port of all peers.
 */
export function buildPeerTable(peers: readonly UdpPeer[], port: number): PeerTable {
  const ranges = peers.map(({ subnet }, owner) => ({ ...rangeOf(subnet), owner }));
  // Outer before inner, and what comes later on top.
  ranges.sort((a, b) => a.first - b.first || a.length - b.length || a.owner - b.owner);
  const starts = [0];
  const owners = [NOBODY];
  const put = (start: number, owner: number) => {
    if (start > 0xffffffff) return;
    if (starts.at(-1) === start) owners[owners.length - 1] = owner;
    else if (owners.at(-1) !== owner) {
      starts.push(start);
      owners.push(owner);
    }
  };
  const open: { last: number; owner: number }[] = [];
  const closeBefore = (address: number) => {
    while (open.length > 0 && open.at(-1)!.last < address) {
      const { last } = open.pop()!;
      put(last + 1, open.at(-1)?.owner ?? NOBODY);
    }
  };
  for (const range of ranges) {
    closeBefore(range.first);
    put(range.first, range.owner);
    open.push(range);
  }
  closeBefore(Infinity);
  const addresses = new Uint32Array(
    peers.map(({ publicIp }) => Number(addressToNumber(publicIp))),
  );
  const sockaddrs = new Uint8Array(new ArrayBuffer(Math.max(peers.length, 1) * SOCKADDR_IN));
  const view = new DataView(sockaddrs.buffer);
  addresses.forEach((address, index) => writeSockaddr(view, index * SOCKADDR_IN, address, port));
  return {
    starts: new Uint32Array(starts),
    owners: new Int32Array(owners),
    addresses,
    sorted: addresses.slice().sort(),
    sockaddrs,
  };
}

/** Index of the last element that is not above a value. */
function floor(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The peer that an address belongs to.
 *
 * @param address As an unsigned number.
 * @returns its number, {@linkcode NOBODY} if there is none.
 */
export function ownerOf(table: PeerTable, address: number): number {
  return table.owners[floor(table.starts, address)]!;
}

/** Whether a peer has this address on the underlay. */
export function isPeer(table: PeerTable, address: number): boolean {
  return table.sorted[floor(table.sorted, address)] === address;
}
