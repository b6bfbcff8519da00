/**
 * Fields of IPv4, TCP and UDP headers (RFC 791, 9293, 768) and of struct virtio_net_hdr
 * (linux/virtio_net.h), by their offsets.
 *
 * @module
 */
import type { PacketMemory } from "./packet_memory.ts";
import { fold } from "./sum.ts";

/** Offsets within an IPv4 header. */
export const IP = {
  tos: 1,
  length: 2,
  id: 4,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
  header: 20,
} as const;

/** Bit of the fragment word that forbids to fragment. */
export const DONT_FRAGMENT = 0x4000;
/** Bits of the fragment word that are set in all fragments but a whole packet. */
export const FRAGMENT = 0x3fff;
/** Bits of the fragment word that are set in all but the first fragment. */
export const FRAGMENT_OFFSET = 0x1fff;

/** Offsets within a TCP header. */
export const TCP = {
  sequence: 4,
  acknowledgement: 8,
  offset: 12,
  flags: 13,
  checksum: 16,
  header: 20,
} as const;

/** Flags of TCP. */
export const TCP_FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  cwr: 0x80,
} as const;

/** Offsets within a UDP header. */
export const UDP = { length: 4, checksum: 6, header: 8 } as const;

/** Protocol numbers of the Internet. */
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;

/** Offsets within a struct virtio_net_hdr. Its numbers are in the order of the machine. */
export const VNET = { flags: 0, type: 1, headers: 2, size: 4, start: 6, offset: 8 } as const;
/** VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum field holds the pseudo header's sum, and nothing else. */
export const NEEDS_CHECKSUM = 1;
/** VIRTIO_NET_HDR_GSO_ */
export const GSO = { none: 0, tcp4: 1, udp: 5, ecn: 0x80 } as const;

/** Length of the IPv4 header at an offset. */
export function headerLength(memory: PacketMemory, at: number): number {
  return (memory.u8[at]! & 0x0f) * 4;
}

/**
 * Whether `length` bytes at an offset begin with a sound IPv4 header whose packet fits in them.
 * The checksum is not looked at.
 */
export function isPacket(memory: PacketMemory, at: number, length: number): boolean {
  if (length < IP.header || memory.u8[at]! >> 4 !== 4) return false;
  const header = headerLength(memory, at);
  const total = memory.view.getUint16(at + IP.length);
  return header >= IP.header && total >= header && total <= length;
}

/** Sum of the pseudo header that TCP and UDP checksums cover, not folded. */
export function pseudoSum(
  memory: PacketMemory,
  at: number,
  protocol: number,
  length: number,
): number {
  const { view } = memory;
  return view.getUint16(at + IP.source) + view.getUint16(at + IP.source + 2) +
    view.getUint16(at + IP.destination) + view.getUint16(at + IP.destination + 2) +
    protocol + length;
}

/** Writes the header checksum of an IPv4 packet. */
export function sealHeader(memory: PacketMemory, at: number): void {
  memory.view.setUint16(at + IP.checksum, 0);
  memory.view.setUint16(at + IP.checksum, ~memory.sum(at, headerLength(memory, at)) & 0xffff);
}

/** Whether the header checksum is right. */
export function isSealed(memory: PacketMemory, at: number): boolean {
  const { view } = memory;
  const header = headerLength(memory, at);
  if (header !== IP.header) return memory.sum(at, header) === 0xffff;
  // Nearly all packets: ten words are quicker added here than by a call.
  const sum = view.getUint16(at) + view.getUint16(at + 2) + view.getUint16(at + 4) +
    view.getUint16(at + 6) + view.getUint16(at + 8) + view.getUint16(at + 10) +
    view.getUint16(at + 12) + view.getUint16(at + 14) + view.getUint16(at + 16) +
    view.getUint16(at + 18);
  return fold(sum) === 0xffff;
}
