/**
 * Cuts a large packet, as the kernel hands it over, into packets of the size that its sender had in
 * mind, headers and checksums complete. Payload is summed but not copied.
 *
 * @module
 */
import { headerLength, IP, PROTOCOL, pseudoSum, TCP, TCP_FLAG, UDP } from "./packet.ts";
import type { PacketMemory } from "./packet_memory.ts";
import { fold } from "./sum.ts";

/** Takes packets in pieces: a header and a part of the payload, as offsets in memory. */
export interface PieceTaker {
  (header: number, headerLength: number, payload: number, payloadLength: number): void;
}

/** Cuts packets. */
export class Segmenter {
  readonly #memory: PacketMemory;
  readonly #headers: number;
  readonly #size: number;
  #used = 0;

  /**
   * @param headers Where the new headers are written.
   * @param size How many bytes there are for them.
   */
  constructor(memory: PacketMemory, headers: number, size: number) {
    this.#memory = memory;
    this.#headers = headers;
    this.#size = size;
  }

  /** Whether there is room for one more header. If not, what was cut has to go before `clear`. */
  get full(): boolean {
    return this.#used + 128 > this.#size;
  }

  /** Forgets the headers written. */
  clear(): void {
    this.#used = 0;
  }

  /**
   * Cuts one packet. Its lengths must have been checked.
   *
   * @param at Offset of the IPv4 header, a multiple of 4.
   * @param length Bytes of the packet.
   * @param size Bytes of payload of each packet but the last.
   * @param take Takes each packet, and empties this segmenter when it is full.
   */
  cut(at: number, length: number, size: number, take: PieceTaker): void {
    const { view, u8, u32, sum } = this.#memory;
    const ipLength = headerLength(this.#memory, at);
    const protocol = u8[at + IP.protocol]!;
    const tcp = protocol === PROTOCOL.tcp;
    const l4 = at + ipLength;
    const l4Length = tcp ? (u8[l4 + TCP.offset]! >> 4) * 4 : UDP.header;
    const headers = ipLength + l4Length;
    const checksumAt = ipLength + (tcp ? TCP.checksum : UDP.checksum);
    const id = view.getUint16(at + IP.id);
    const sequence = tcp ? view.getUint32(l4 + TCP.sequence) : 0;
    const flags = tcp ? u8[l4 + TCP.flags]! : 0;
    // The sums of what is the same in all of them.
    view.setUint16(at + IP.checksum, 0);
    view.setUint16(at + IP.length, 0);
    view.setUint16(at + IP.id, 0);
    view.setUint16(at + checksumAt, 0);
    if (tcp) {
      view.setUint32(l4 + TCP.sequence, 0);
      u8[l4 + TCP.flags] = 0;
    } else view.setUint16(l4 + UDP.length, 0);
    const ipSum = sum(at, ipLength);
    const l4Sum = sum(l4, l4Length) + pseudoSum(this.#memory, at, protocol, 0);
    const end = at + length;
    let segment = 0;
    for (let payload = at + headers; payload < end; payload += size, segment++) {
      const last = payload + size >= end;
      const count = last ? end - payload : size;
      const header = this.#headers + this.#used;
      for (let word = 0; word < headers >> 2; word++) {
        u32[(header >> 2) + word] = u32[(at >> 2) + word]!;
      }
      const packetLength = headers + count;
      const packetId = (id + segment) & 0xffff;
      view.setUint16(header + IP.length, packetLength);
      view.setUint16(header + IP.id, packetId);
      view.setUint16(header + IP.checksum, ~fold(ipSum + packetLength + packetId) & 0xffff);
      let total = l4Sum + sum(payload, count) + l4Length + count;
      if (tcp) {
        const own = (sequence + segment * size) >>> 0;
        let ownFlags = flags;
        // What ends a burst belongs to its last packet, what announces a smaller window to its first.
        if (!last) ownFlags &= ~(TCP_FLAG.fin | TCP_FLAG.psh);
        if (segment > 0) ownFlags &= ~TCP_FLAG.cwr;
        view.setUint32(header + ipLength + TCP.sequence, own);
        u8[header + ipLength + TCP.flags] = ownFlags;
        total += (own >>> 16) + (own & 0xffff) + ownFlags;
        view.setUint16(header + checksumAt, ~fold(total) & 0xffff);
      } else {
        view.setUint16(header + ipLength + UDP.length, l4Length + count);
        total += l4Length + count;
        // Zero would say that there is none.
        view.setUint16(header + checksumAt, (~fold(total) & 0xffff) || 0xffff);
      }
      this.#used += (headers + 3) & ~3;
      take(header, headers, payload, count);
    }
  }
}
