/**
 * Puts packets that follow one another back together into one large packet before the kernel gets
 * them: what its own GRO does for packets from a network card, under the same conditions.
 *
 * Only what is certain to come out the same when it is cut again is merged: same headers, sequence
 * numbers without a gap, sizes equal up to the last, right checksums. All else is handed over as it came,
 * and in the order in which it came.
 *
 * @module
 */
import { Pieces } from "../../../ffi/packet_io.ts";
import { VNET_HDR } from "../../../ffi/tun.ts";
import { COUNTER } from "./counters.ts";
import type { PacketMemory } from "./packet_memory.ts";
import {
  DONT_FRAGMENT,
  FRAGMENT,
  GSO,
  IP,
  NEEDS_CHECKSUM,
  PROTOCOL,
  pseudoSum,
  sealHeader,
  TCP,
  TCP_FLAG,
  UDP,
  VNET,
} from "./packet.ts";
import { fold } from "./sum.ts";

const LONGEST_PACKET = 65535;
/** Kernels before 6.9 do not cut a UDP packet into more. */
const MOST_SEGMENTS = 64;

/** Hands packets to a device, merged where that is possible. */
export class Merger {
  static readonly memorySize = 256;

  readonly #memory: PacketMemory;
  readonly #counters: Float64Array;
  readonly #pieces = new Pieces(MOST_SEGMENTS + 2);
  /** A virtio_net_hdr that says nothing, and one that is filled in. */
  readonly #plain: number;
  readonly #filled: number;
  #fd = -1;
  #tcp = false;
  #udp = false;
  #headed = false;
  /** Offset of the first packet, 0 if there is none. */
  #first = 0;
  #count = 0;
  #headers = 0;
  #size = 0;
  #length = 0;
  #sequence = 0;
  #id = 0;
  #flags = 0;
  #closed = false;
  #verified = false;

  constructor(memory: PacketMemory, counters: Float64Array) {
    this.#memory = memory;
    this.#counters = counters;
    this.#plain = memory.allocate(VNET_HDR);
    this.#filled = memory.allocate(VNET_HDR);
  }

  /** Says to which device packets go, and what it can take. Nothing may be waiting. */
  useDevice(tun: { fd: number; offloads: boolean; udpOffload: boolean }): void {
    this.#fd = tun.fd;
    this.#headed = this.#tcp = tun.offloads;
    this.#udp = tun.udpOffload;
  }

  /** Takes a sound IPv4 packet, which must stay in memory until {@linkcode flush}. */
  add(at: number, length: number): void {
    const headers = this.#mergeable(at, length);
    if (headers === 0) {
      this.flush();
      this.#write(at, length);
      return;
    }
    if (this.#first !== 0) {
      if (this.#follows(at, length, headers)) return this.#append(at, length, headers);
      this.flush();
    }
    this.#begin(at, length, headers);
  }

  /** Hands over what waits. */
  flush(): void {
    const first = this.#first;
    if (first === 0) return;
    this.#first = 0;
    if (this.#count === 1) return this.#write(first, this.#length);
    this.#completeFirst(first);
    this.#deliver(this.#count, this.#length);
  }

  /** Length of both headers if the packet could be part of a larger one, else 0. */
  #mergeable(at: number, length: number): number {
    const { view, u8 } = this.#memory;
    if (u8[at] !== 0x45 || (view.getUint16(at + IP.fragment) & FRAGMENT) !== 0) return 0;
    const l4 = at + IP.header;
    if (u8[at + IP.protocol] === PROTOCOL.tcp) {
      if (!this.#tcp || length <= IP.header + TCP.header) return 0;
      const tcp = (u8[l4 + TCP.offset]! >> 4) * 4;
      // Neither SYN, RST, FIN, URG nor what ECN says of congestion.
      const flags = u8[l4 + TCP.flags]! & ~TCP_FLAG.psh;
      return tcp >= TCP.header && length > IP.header + tcp && flags === TCP_FLAG.ack
        ? IP.header + tcp
        : 0;
    }
    return this.#udp && u8[at + IP.protocol] === PROTOCOL.udp && length > IP.header + UDP.header &&
        view.getUint16(l4 + UDP.length) === length - IP.header &&
        view.getUint16(l4 + UDP.checksum) !== 0
      ? IP.header + UDP.header
      : 0;
  }

  #begin(at: number, length: number, headers: number): void {
    const { view, u8 } = this.#memory;
    const l4 = at + IP.header;
    this.#first = at;
    this.#count = 1;
    this.#headers = headers;
    this.#size = length - headers;
    this.#length = length;
    this.#id = view.getUint16(at + IP.id);
    this.#verified = this.#closed = false;
    this.#flags = 0;
    if (u8[at + IP.protocol] === PROTOCOL.tcp) {
      this.#sequence = (view.getUint32(l4 + TCP.sequence) + this.#size) >>> 0;
      this.#flags = u8[l4 + TCP.flags]!;
      this.#closed = (this.#flags & TCP_FLAG.psh) !== 0;
    }
    this.#pieces.clear();
    this.#pieces.add(this.#memory.base + this.#filled, VNET_HDR);
    this.#pieces.add(this.#memory.base + at, length);
  }

  #append(at: number, length: number, headers: number): void {
    const { u8, base } = this.#memory;
    const payload = length - headers;
    this.#pieces.add(base + at + headers, payload);
    this.#count++;
    this.#length += payload;
    if (u8[at + IP.protocol] === PROTOCOL.tcp) {
      this.#sequence = (this.#sequence + payload) >>> 0;
      this.#flags |= u8[at + IP.header + TCP.flags]!;
    }
    this.#closed = payload < this.#size || (this.#flags & TCP_FLAG.psh) !== 0;
  }

  #follows(at: number, length: number, headers: number): boolean {
    const { view } = this.#memory;
    const first = this.#first;
    const payload = length - headers;
    if (
      this.#closed || headers !== this.#headers || payload > this.#size ||
      this.#length + payload > LONGEST_PACKET || this.#count === MOST_SEGMENTS ||
      view.getUint16(at) !== view.getUint16(first) ||
      view.getUint32(at + IP.source) !== view.getUint32(first + IP.source) ||
      view.getUint32(at + IP.destination) !== view.getUint32(first + IP.destination) ||
      view.getUint16(at + IP.ttl) !== view.getUint16(first + IP.ttl) ||
      view.getUint16(at + IP.fragment) !== view.getUint16(first + IP.fragment) ||
      // Ports.
      view.getUint32(at + IP.header) !== view.getUint32(first + IP.header) ||
      // Without the bit that forbids fragments the identification has a meaning, and must count up.
      ((view.getUint16(at + IP.fragment) & DONT_FRAGMENT) === 0 &&
        view.getUint16(at + IP.id) !== ((this.#id + this.#count) & 0xffff))
    ) return false;
    if (this.#memory.u8[at + IP.protocol] === PROTOCOL.tcp && !this.#followsTcp(at, headers)) {
      return false;
    }
    if (!this.#verified) {
      // The first one is verified when it has a second, since alone it stays as it is.
      this.#verified = this.#isRight(first, this.#length);
      if (!this.#verified) return false;
    }
    return this.#isRight(at, length);
  }

  #followsTcp(at: number, headers: number): boolean {
    const { view, u8 } = this.#memory;
    const l4 = at + IP.header;
    const other = this.#first + IP.header;
    if (
      view.getUint32(l4 + TCP.sequence) !== this.#sequence ||
      view.getUint32(l4 + TCP.acknowledgement) !== view.getUint32(other + TCP.acknowledgement) ||
      view.getUint16(l4 + TCP.flags + 1) !== view.getUint16(other + TCP.flags + 1) ||
      u8[l4 + TCP.offset] !== u8[other + TCP.offset]
    ) return false;
    for (let option = TCP.header; option < headers - IP.header; option += 4) {
      if (view.getUint32(l4 + option) !== view.getUint32(other + option)) return false;
    }
    return true;
  }

  /** Whether the checksum of TCP or UDP is right. */
  #isRight(at: number, length: number): boolean {
    const l4Length = length - IP.header;
    const protocol = this.#memory.u8[at + IP.protocol]!;
    const pseudo = pseudoSum(this.#memory, at, protocol, l4Length);
    return fold(pseudo + this.#memory.sum(at + IP.header, l4Length)) === 0xffff;
  }

  /** Turns the first packet's headers into those of the whole. */
  #completeFirst(first: number): void {
    const { view, u8 } = this.#memory;
    const l4 = first + IP.header;
    const l4Length = this.#length - IP.header;
    const protocol = u8[first + IP.protocol]!;
    const tcp = protocol === PROTOCOL.tcp;
    view.setUint16(first + IP.length, this.#length);
    sealHeader(this.#memory, first);
    const checksum = tcp ? TCP.checksum : UDP.checksum;
    const pseudo = fold(pseudoSum(this.#memory, first, protocol, l4Length));
    view.setUint16(l4 + checksum, pseudo);
    if (tcp) u8[l4 + TCP.flags] = this.#flags;
    else view.setUint16(l4 + UDP.length, l4Length);
    const vnet = this.#filled;
    u8[vnet + VNET.flags] = NEEDS_CHECKSUM;
    u8[vnet + VNET.type] = tcp ? GSO.tcp4 : GSO.udp;
    view.setUint16(vnet + VNET.headers, this.#headers, true);
    view.setUint16(vnet + VNET.size, this.#size, true);
    view.setUint16(vnet + VNET.start, IP.header, true);
    view.setUint16(vnet + VNET.offset, checksum, true);
  }

  #write(at: number, length: number): void {
    const { base } = this.#memory;
    this.#pieces.clear();
    if (this.#headed) this.#pieces.add(base + this.#plain, VNET_HDR);
    this.#pieces.add(base + at, length);
    this.#deliver(1, length);
  }

  #deliver(packets: number, length: number): void {
    const counters = this.#counters;
    counters[COUNTER.deliverCalls]! += 1;
    if (this.#pieces.write(this.#fd) < 0) {
      counters[COUNTER.inRefused]! += packets;
      return;
    }
    counters[COUNTER.receivedPackets]! += packets;
    counters[COUNTER.receivedBytes]! += length + (packets - 1) * this.#headers;
  }
}
