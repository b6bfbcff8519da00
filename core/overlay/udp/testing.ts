/**
 * For the tests of the packet loop: packets made and judged by the plainest code there is.
 *
 * @module
 */
import { closeFile, readFd } from "../../../ffi/file.ts";
import { libc } from "../../../ffi/libc.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { PacketMemory } from "./packet_memory.ts";
import { IP, PROTOCOL } from "./packet.ts";

/** The ones' complement sum of RFC 1071, word by word. */
export function naiveSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** What a packet is made of. */
export interface PacketParts {
  readonly protocol: number;
  readonly source?: number;
  readonly destination?: number;
  readonly id?: number;
  readonly ttl?: number;
  readonly fragment?: number;
  readonly sequence?: number;
  readonly flags?: number;
  /** TCP options, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
  readonly payload: Uint8Array;
}

/** One whole IPv4 packet with TCP, UDP or bare payload, its checksums right. */
export function makePacket(parts: PacketParts): Uint8Array<ArrayBuffer> {
  const { protocol, payload, options = new Uint8Array() } = parts;
  const tcp = protocol === PROTOCOL.tcp;
  const l4 = tcp ? 20 + options.length : protocol === PROTOCOL.udp ? 8 : 0;
  const packet = new Uint8Array(20 + l4 + payload.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  view.setUint16(4, parts.id ?? 7);
  view.setUint16(6, parts.fragment ?? 0x4000);
  packet[8] = parts.ttl ?? 63;
  packet[9] = protocol;
  view.setUint32(12, parts.source ?? 0x0af40102);
  view.setUint32(16, parts.destination ?? 0x0af40202);
  packet.set(payload, 20 + l4);
  if (l4 > 0) {
    view.setUint16(20, 40000);
    view.setUint16(22, 5001);
  }
  if (tcp) {
    view.setUint32(24, parts.sequence ?? 1000);
    view.setUint32(28, 77);
    packet[32] = (20 + options.length) / 4 << 4;
    packet[33] = parts.flags ?? 0x10;
    view.setUint16(34, 501);
    packet.set(options, 40);
  } else if (l4 > 0) view.setUint16(24, 8 + payload.length);
  seal(packet);
  return packet;
}

/** Writes both checksums. */
export function seal(packet: Uint8Array): void {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const field = checksumField(packet);
  if (field !== undefined) {
    view.setUint16(field, 0);
    view.setUint16(field, ~l4Sum(packet) & 0xffff || 0xffff);
  }
  view.setUint16(IP.checksum, 0);
  view.setUint16(IP.checksum, ~naiveSum(packet.subarray(0, 20)) & 0xffff);
}

function checksumField(packet: Uint8Array): number | undefined {
  return packet[9] === PROTOCOL.tcp ? 36 : packet[9] === PROTOCOL.udp ? 26 : undefined;
}

function l4Sum(packet: Uint8Array): number {
  const length = packet.length - 20;
  const pseudo = new Uint8Array([
    ...packet.subarray(12, 20),
    0,
    packet[9]!,
    length >> 8,
    length & 255,
  ]);
  return naiveSum(packet.subarray(20), naiveSum(pseudo));
}

/** Whether both checksums are right. */
export function isIntact(packet: Uint8Array): boolean {
  return naiveSum(packet.subarray(0, 20)) === 0xffff &&
    (checksumField(packet) === undefined || l4Sum(packet) === 0xffff);
}

/** Memory for a test. */
export function testMemory(): PacketMemory {
  return new PacketMemory(1 << 20);
}

/** Something to write packets to that keeps them, instead of a device. */
export class Sink implements Disposable {
  readonly fd = createMemfd("knet-test", new Uint8Array());
  #at = 0;

  /** What was written since the last call. */
  take(): Uint8Array {
    const bytes = new Uint8Array(new ArrayBuffer(4 << 20));
    libc().lseek(this.fd, BigInt(this.#at), 0);
    const count = readFd(this.fd, bytes);
    this.#at += count;
    return bytes.subarray(0, count);
  }

  [Symbol.dispose](): void {
    closeFile(this.fd);
  }
}
