/**
 * Collects datagrams and sends them together: those of one size for one peer as a bundle that crosses the
 * kernel's border, and most of its network stack, as one.
 *
 * @module
 */
import { SOCKADDR_IN } from "../../../ffi/linux/socket.ts";
import { Outbox } from "../../../ffi/packet_io.ts";
import { COUNTER } from "./counters.ts";
import { NOBODY } from "./routes.ts";

/** The most datagrams of a bundle: UDP_MAX_SEGMENTS of linux/udp.h before Linux 6.9. */
const MOST_SEGMENTS = 64;
/** The most bytes that a UDP datagram, and so a bundle, can have. */
const MOST_BYTES = 65507;
const MOST_MESSAGES = 256;
const MOST_PIECES = 1536;

const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;

/** Collects and sends. */
export class Bundler {
  readonly #outbox = new Outbox(MOST_MESSAGES, MOST_PIECES);
  readonly #singles = new Outbox(MOST_SEGMENTS, 2 * MOST_SEGMENTS);
  readonly #counters: Float64Array;
  #fd = -1;
  #bundles = false;
  #sockaddrs = 0;
  #peer = NOBODY;
  #size = 0;
  #count = 0;
  #bytes = 0;

  constructor(counters: Float64Array) {
    this.#counters = counters;
  }

  /** Says by which socket to send, and whether in bundles. Nothing may be waiting. */
  useSocket(fd: number, bundles: boolean): void {
    this.#fd = fd;
    this.#bundles = bundles;
  }

  /** Says where the peers' struct sockaddr_in are. Nothing may be waiting. */
  usePeers(sockaddrs: number): void {
    this.#sockaddrs = sockaddrs;
  }

  /**
   * Adds a datagram made of one or two pieces (`rest` 0: one). The memory must stay as it is until
   * {@linkcode flush}.
   *
   * @param head Address of the first piece, `headLength` bytes.
   */
  add(peer: number, head: number, headLength: number, rest: number, restLength: number): void {
    const length = headLength + restLength;
    const outbox = this.#outbox;
    if (
      peer === this.#peer && length <= this.#size && this.#count < MOST_SEGMENTS &&
      this.#bytes + length <= MOST_BYTES && this.#bundles && outbox.pieces + 2 <= MOST_PIECES
    ) {
      if (this.#count++ === 1) outbox.segment(this.#size);
      this.#bytes += length;
    } else {
      if (outbox.messages === MOST_MESSAGES || outbox.pieces + 2 > MOST_PIECES) this.flush();
      outbox.begin(this.#sockaddrs + peer * SOCKADDR_IN);
      this.#peer = peer;
      this.#size = this.#bytes = length;
      this.#count = 1;
    }
    outbox.add(head, headLength);
    if (restLength > 0) outbox.add(rest, restLength);
    // A shorter datagram can only be a bundle's last.
    if (length < this.#size) this.#peer = NOBODY;
    this.#counters[COUNTER.sentPackets]! += 1;
    this.#counters[COUNTER.sentBytes]! += length;
  }

  /** Sends all that waits. What the kernel refuses is counted and dropped. */
  flush(): void {
    const outbox = this.#outbox;
    this.#peer = NOBODY;
    while (outbox.sent < outbox.messages) {
      this.#counters[COUNTER.sendCalls]! += 1;
      const failed = -outbox.send(this.#fd);
      if (failed === 0) break;
      const bundle = outbox.segmentOf(outbox.sent) !== 0;
      if (bundle && (failed === EIO || failed === EINVAL || failed === EMSGSIZE)) {
        // EIO: the device computes no checksums, which bundles need on kernels before 6.11. Else the path
        // to this peer is narrower than the segments: alone they may be fragmented.
        if (failed === EIO) this.#bundles = false;
        this.#sendSingly(outbox.sent);
      } else this.#refused(outbox.datagramsOf(outbox.sent));
      outbox.skip();
    }
    outbox.clear();
  }

  #sendSingly(index: number): void {
    const singles = this.#singles;
    singles.clear();
    this.#outbox.unbundle(index, singles);
    while (singles.sent < singles.messages) {
      if (singles.send(this.#fd) === 0) break;
      this.#refused(1);
      singles.skip();
    }
  }

  #refused(datagrams: number): void {
    this.#counters[COUNTER.outRefused]! += datagrams;
    this.#counters[COUNTER.sentPackets]! -= datagrams;
  }
}
