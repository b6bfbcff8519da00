/**
 * From the TUN device to the peers.
 *
 * @module
 */
import { EAGAIN, EINTR } from "../../../ffi/errno.ts";
import { Pieces } from "../../../ffi/packet_io.ts";
import { VNET_HDR } from "../../../ffi/tun.ts";
import { Bundler } from "./bundler.ts";
import { COUNTER, type CounterName } from "./counters.ts";
import { EXPIRED, type IcmpAnswerer, type IcmpError, NO_NETWORK, TOO_BIG } from "./icmp.ts";
import type { PacketMemory } from "./packet_memory.ts";
import {
  GSO,
  headerLength,
  IP,
  isPacket,
  NEEDS_CHECKSUM,
  PROTOCOL,
  TCP,
  UDP,
  VNET,
} from "./packet.ts";
import { NOBODY, ownerOf, type PeerTable } from "./routes.ts";
import { Segmenter } from "./segment.ts";
import type { LoopSetup } from "./setup.ts";
import { updateChecksum } from "./sum.ts";

const LONGEST_PACKET = 65535;
/** Packets are read one behind the other into this much memory, then sent together. It should stay in the processor's cache. */
const ARENA = 512 << 10;
const HEADERS = 64 << 10;
const MOST_PACKETS = 256;

/** One direction of the packet loop. */
export class Outward {
  static readonly memorySize = ARENA + HEADERS + 4096;

  readonly #memory: PacketMemory;
  readonly #counters: Float64Array;
  readonly #icmp: IcmpAnswerer;
  readonly #bundler: Bundler;
  readonly #segmenter: Segmenter;
  readonly #pieces = new Pieces(1);
  readonly #arena: number;
  #setup!: LoopSetup;
  #table!: PeerTable;
  #lastDestination = -1;
  #lastOwner = NOBODY;
  #peer = NOBODY;

  constructor(memory: PacketMemory, counters: Float64Array, icmp: IcmpAnswerer) {
    this.#memory = memory;
    this.#counters = counters;
    this.#icmp = icmp;
    this.#bundler = new Bundler(counters);
    this.#arena = memory.allocate(ARENA);
    this.#segmenter = new Segmenter(memory, memory.allocate(HEADERS), HEADERS);
  }

  /** Says what to work with. */
  configure(setup: LoopSetup): void {
    this.#setup = setup;
    this.#bundler.useSocket(setup.udp.fd, setup.udp.segments);
  }

  /** Swaps the peers. @param sockaddrs Address of their struct sockaddr_in. */
  usePeers(table: PeerTable, sockaddrs: number): void {
    this.#table = table;
    this.#lastDestination = -1;
    this.#bundler.usePeers(sockaddrs);
  }

  /**
   * Passes on what the device has, up to a bound.
   *
   * @returns 0, or the errno of the device when it is broken.
   */
  turn(): number {
    const { base } = this.#memory;
    const { fd, offloads } = this.#setup.tun;
    const before = offloads ? VNET_HDR : 0;
    const end = this.#arena + ARENA - LONGEST_PACKET;
    let failed = 0;
    for (let at = this.#arena + 64, packets = 0; at < end && packets < MOST_PACKETS; packets++) {
      this.#pieces.only(base + at - before, LONGEST_PACKET + before);
      const count = this.#pieces.read(fd);
      if (count < 0) {
        if (count !== -EAGAIN && count !== -EINTR) failed = -count;
        break;
      }
      this.#pass(at, count - before);
      at = (at + count + 127) & ~63;
      if (this.#setup.singly) {
        this.#flush();
        break;
      }
    }
    this.#flush();
    return failed;
  }

  #flush(): void {
    this.#bundler.flush();
    this.#segmenter.clear();
  }

  #drop(why: CounterName): void {
    this.#counters[COUNTER[why]]! += 1;
  }

  #refuse(why: CounterName, error: IcmpError, at: number, length: number, mtu = 0): void {
    this.#drop(why);
    this.#icmp.answer(error, at, length, mtu);
  }

  #pass(at: number, length: number): void {
    const memory = this.#memory;
    const { view, u8 } = memory;
    if (!isPacket(memory, at, length)) return this.#drop("outMalformed");
    length = view.getUint16(at + IP.length);
    const peer = this.#ownerOf(view.getUint32(at + IP.destination));
    if (peer === NOBODY) return this.#refuse("outNoPeer", NO_NETWORK, at, length);
    const ttl = u8[at + IP.ttl]!;
    if (ttl <= 1) return this.#refuse("outExpired", EXPIRED, at, length);
    const { mtu } = this.#setup;
    const type = this.#setup.tun.offloads ? u8[at - VNET_HDR + VNET.type]! & ~GSO.ecn : GSO.none;
    if (type === GSO.none) {
      if (length > mtu) return this.#refuse("outTooBig", TOO_BIG, at, length, mtu);
      this.#age(at, ttl);
      if (this.#setup.tun.offloads) this.#complete(at, length);
      this.#bundler.add(peer, memory.base + at, length, 0, 0);
      return;
    }
    const size = view.getUint16(at - VNET_HDR + VNET.size, true);
    const headers = this.#headersOf(at, length, type);
    if (headers === 0 || size === 0) return this.#drop("outMalformed");
    if (headers + size > mtu && length > mtu) {
      return this.#refuse("outTooBig", TOO_BIG, at, length, mtu);
    }
    this.#age(at, ttl);
    this.#peer = peer;
    this.#segmenter.cut(at, length, size, this.#take);
  }

  readonly #take = (header: number, headers: number, payload: number, count: number): void => {
    const { base } = this.#memory;
    this.#bundler.add(this.#peer, base + header, headers, base + payload, count);
    if (this.#segmenter.full) this.#flush();
  };

  #ownerOf(destination: number): number {
    if (destination !== this.#lastDestination) {
      this.#lastDestination = destination;
      this.#lastOwner = ownerOf(this.#table, destination);
    }
    return this.#lastOwner;
  }

  /** One hop less to live. */
  #age(at: number, ttl: number): void {
    const { view, u8 } = this.#memory;
    const protocol = u8[at + IP.protocol]!;
    const word = ttl << 8 | protocol;
    const checksum = view.getUint16(at + IP.checksum);
    view.setUint16(at + IP.checksum, updateChecksum(checksum, word, word - 0x100));
    u8[at + IP.ttl] = ttl - 1;
  }

  /** Bytes of IP and TCP or UDP header of a large packet, 0 if it is not what it should be. */
  #headersOf(at: number, length: number, type: number): number {
    const { u8 } = this.#memory;
    const ip = headerLength(this.#memory, at);
    const protocol = u8[at + IP.protocol];
    if (type === GSO.tcp4 && protocol === PROTOCOL.tcp && length >= ip + TCP.header) {
      const tcp = (u8[at + ip + TCP.offset]! >> 4) * 4;
      return tcp >= TCP.header && length > ip + tcp ? ip + tcp : 0;
    }
    return type === GSO.udp && protocol === PROTOCOL.udp && length > ip + UDP.header
      ? ip + UDP.header
      : 0;
  }

  /** Computes the checksum that the kernel left to the device. */
  #complete(at: number, length: number): void {
    const { view, u8, sum } = this.#memory;
    const vnet = at - VNET_HDR;
    if ((u8[vnet + VNET.flags]! & NEEDS_CHECKSUM) === 0) return;
    const start = view.getUint16(vnet + VNET.start, true);
    const field = start + view.getUint16(vnet + VNET.offset, true);
    // Within the header, it would change where the packet goes.
    if (start < IP.header || field + 2 > length) return;
    const checksum = ~sum(at + start, length - start) & 0xffff;
    const udp = u8[at + IP.protocol] === PROTOCOL.udp;
    view.setUint16(at + field, udp && checksum === 0 ? 0xffff : checksum);
  }
}
