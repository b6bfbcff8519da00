/**
 * ICMP errors (RFC 792, 1191, 1812) for packets that the packet loop cannot pass on.
 *
 * They leave by a raw socket, not by the TUN device: the kernel drops what comes from a device with one of the
 * host's own addresses as source.
 *
 * @module
 */
import { SOCKADDR_IN } from "../../../ffi/linux/socket.ts";
import { Outbox, writeSockaddr } from "../../../ffi/packet_io.ts";
import { COUNTER } from "./counters.ts";
import type { PacketMemory } from "./packet_memory.ts";
import { FRAGMENT_OFFSET, headerLength, IP, PROTOCOL } from "./packet.ts";

/** Type and code of an error. */
export interface IcmpError {
  readonly type: number;
  readonly code: number;
}

/** Network unreachable: no peer has the destination. */
export const NO_NETWORK: IcmpError = { type: 3, code: 0 };
/** Host unreachable: the peer's host cannot be reached. */
export const NO_HOST: IcmpError = { type: 3, code: 1 };
/** Fragmentation needed. */
export const TOO_BIG: IcmpError = { type: 3, code: 4 };
/** Time to live exceeded in transit. */
export const EXPIRED: IcmpError = { type: 11, code: 0 };

/** Offsets within an ICMP error. */
export const ICMP = { checksum: 2, mtu: 6, quote: 8 } as const;
/** RFC 1812, 4.3.2.3: as much as fits without exceeding 576 bytes. */
const LONGEST_QUOTE = 576 - IP.header - ICMP.quote;

/**
 * Whether a packet may be answered with an error (RFC 1122, 3.2.2): none for errors, for fragments other than the first, and
 * for what was or claims to be sent by or to many.
 */
export function mayAnswer(memory: PacketMemory, at: number, length: number): boolean {
  const { view, u8 } = memory;
  const header = headerLength(memory, at);
  if (view.getUint16(at + IP.fragment) & FRAGMENT_OFFSET) return false;
  const source = u8[at + IP.source]!;
  if (source === 0 || source === 127 || source >= 224 || u8[at + IP.destination]! >= 224) {
    return false;
  }
  if (u8[at + IP.protocol] !== PROTOCOL.icmp) return true;
  // Of ICMP only what asks and answers: echo, timestamp and the like.
  const type = length > header ? u8[at + header]! : -1;
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

/**
 * Writes an error about a packet.
 *
 * @param target Where to write, up to 556 bytes.
 * @param mtu For {@linkcode TOO_BIG}.
 * @returns its length.
 */
export function writeError(
  memory: PacketMemory,
  target: number,
  error: IcmpError,
  at: number,
  length: number,
  mtu = 0,
): number {
  const { view, u8 } = memory;
  const quote = Math.min(length, LONGEST_QUOTE);
  view.setUint32(target, error.type << 24 | error.code << 16);
  view.setUint32(target + 4, mtu);
  u8.copyWithin(target + ICMP.quote, at, at + quote);
  const size = ICMP.quote + quote;
  view.setUint16(target + ICMP.checksum, ~memory.sum(target, size) & 0xffff);
  return size;
}

/** Errors a second, and at once after a pause: the kernel's own icmp_msgs_per_sec and icmp_msgs_burst. */
const PER_SECOND = 1000;
const BURST = 50;

/** Answers with errors, as fast as a router may. */
export class IcmpAnswerer {
  readonly #memory: PacketMemory;
  readonly #counters: Float64Array;
  readonly #outbox = new Outbox(1, 1);
  readonly #at: number;
  readonly #sockaddr: number;
  #fd = -1;
  #credit = BURST;
  #since = 0;

  constructor(memory: PacketMemory, counters: Float64Array) {
    this.#memory = memory;
    this.#counters = counters;
    this.#at = memory.allocate(ICMP.quote + LONGEST_QUOTE);
    this.#sockaddr = memory.allocate(SOCKADDR_IN);
  }

  /** Says by which socket to answer; -1: not at all. */
  useSocket(fd: number): void {
    this.#fd = fd;
  }

  /** Tells the sender of a packet what became of it, if it may be told. */
  answer(error: IcmpError, at: number, length: number, mtu = 0): void {
    const memory = this.#memory;
    if (this.#fd < 0 || !mayAnswer(memory, at, length)) return;
    if (!this.#allowed()) {
      this.#counters[COUNTER.icmpLimited]! += 1;
      return;
    }
    const size = writeError(memory, this.#at, error, at, length, mtu);
    writeSockaddr(memory.view, this.#sockaddr, memory.view.getUint32(at + IP.source), 0);
    this.#outbox.clear();
    this.#outbox.begin(memory.base + this.#sockaddr);
    this.#outbox.add(memory.base + this.#at, size);
    if (this.#outbox.send(this.#fd) === 0) this.#counters[COUNTER.icmpSent]! += 1;
  }

  #allowed(): boolean {
    const now = performance.now();
    this.#credit = Math.min(BURST, this.#credit + (now - this.#since) * PER_SECOND / 1000);
    this.#since = now;
    if (this.#credit < 1) return false;
    this.#credit--;
    return true;
  }
}
