/**
 * Calls that move packets: many datagrams a call, many pieces a packet, nothing allocated on the way.
 *
 * Longer than others, since all four classes write the same few structures and stand on the same calls.
 *
 * @module
 */
import { EINTR } from "./errno.ts";
import { errno, libc, prepareErrno } from "./libc.ts";
import { POLLFD, POLLIN } from "./linux/fcntl.ts";
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCKADDR_IN,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from "./linux/socket.ts";
import { addressOf, getPointer, setPointer } from "./memory.ts";

type PacketCalls = Pick<
  ReturnType<typeof libc>,
  "poll" | "readv" | "writev" | "sendmmsg" | "recvmmsg"
>;

let opened: PacketCalls | undefined;

/** The calls in an object of their own: what is called for every packet shall be found without an accessor on the way. */
function calls(): PacketCalls {
  if (opened === undefined) {
    prepareErrno();
    const { poll, readv, writev, sendmmsg, recvmmsg } = libc();
    opened = { poll, readv, writev, sendmmsg, recvmmsg };
  }
  return opened;
}

/** Bytes of struct iovec (sys/uio.h). */
const IOVEC = 16;
/** The most pieces that the kernel takes in one call: UIO_MAXIOV of linux/uio.h. */
export const MOST_PIECES = 1024;
/** Bytes of struct mmsghdr (sys/socket.h), on 64-bit targets. */
const MMSGHDR = 64;
const MSG_NAME = 0;
const MSG_NAMELEN = 8;
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_LEN = 56;
/** Bytes of a control message with a number in it, and of struct cmsghdr alone. */
const CONTROL = 24;
const CMSGHDR = 16;

/** Waits for a fixed number of descriptors that may change. */
export class PollSet {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #count: bigint;
  readonly #calls = calls();

  constructor(count: number) {
    this.#bytes = new Uint8Array(new ArrayBuffer(count * POLLFD));
    this.#view = new DataView(this.#bytes.buffer);
    this.#count = BigInt(count);
    for (let index = 0; index < count; index++) this.set(index, -1);
  }

  /** Which descriptor is waited for at a place; -1 is none. */
  set(index: number, fd: number): void {
    this.#view.setInt32(index * POLLFD, fd, true);
    this.#view.setInt16(index * POLLFD + 4, POLLIN, true);
    this.#view.setInt16(index * POLLFD + 6, 0, true);
  }

  /** Waits, the thread too. `timeout` in milliseconds, -1 for ever. A signal ends it with nothing ready. */
  wait(timeout: number): void {
    if (this.#calls.poll(this.#bytes, this.#count, timeout) >= 0) return;
    const places = Number(this.#count);
    for (let index = 0; index < places; index++) {
      this.#view.setInt16(index * POLLFD + 6, 0, true);
    }
  }

  /** POLL bits of the last wait. */
  ready(index: number): number {
    return this.#view.getInt16(index * POLLFD + 6, true);
  }
}

/** The pieces that one packet is read into or written from. */
export class Pieces {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #calls = calls();
  #count = 0;

  constructor(most: number) {
    this.#bytes = new Uint8Array(new ArrayBuffer(most * IOVEC));
    this.#view = new DataView(this.#bytes.buffer);
  }

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#count = 0;
  }

  /** Adds memory at an address. */
  add(address: number, length: number): void {
    const at = this.#count++ * IOVEC;
    setPointer(this.#view, at, address);
    setPointer(this.#view, at + 8, length);
  }

  /** Has one piece only. */
  only(address: number, length: number): void {
    this.#count = 0;
    this.add(address, length);
  }

  /** @returns bytes, or the errno made negative. */
  read(fd: number): number {
    const count = this.#calls.readv(fd, this.#bytes, this.#count);
    return count < 0 ? -errno() : count;
  }

  /** @returns bytes, or the errno made negative. */
  write(fd: number): number {
    const count = this.#calls.writev(fd, this.#bytes, this.#count);
    return count < 0 ? -errno() : count;
  }
}

/**
 * Datagrams to send in one call. Each message is one datagram or, with a segment size, one bundle that the
 * kernel cuts into datagrams of that size (the last may be shorter).
 */
export class Outbox {
  readonly mostMessages: number;
  readonly mostPieces: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #pieces: Uint8Array<ArrayBuffer>;
  readonly #pieceView: DataView;
  readonly #control: Uint8Array<ArrayBuffer>;
  readonly #controlView: DataView;
  readonly #piecesAt: number;
  readonly #controlAt: number;
  readonly #calls = calls();
  #messages = 0;
  #pieceCount = 0;
  #sent = 0;

  constructor(messages: number, pieces: number) {
    this.mostMessages = messages;
    this.mostPieces = pieces;
    this.#bytes = new Uint8Array(new ArrayBuffer(messages * MMSGHDR));
    this.#view = new DataView(this.#bytes.buffer);
    this.#pieces = new Uint8Array(new ArrayBuffer(pieces * IOVEC));
    this.#pieceView = new DataView(this.#pieces.buffer);
    this.#control = new Uint8Array(new ArrayBuffer(messages * CONTROL));
    this.#controlView = new DataView(this.#control.buffer);
    this.#piecesAt = addressOf(this.#pieces.buffer);
    this.#controlAt = addressOf(this.#control.buffer);
    for (let index = 0; index < messages; index++) {
      const control = index * CONTROL;
      setPointer(this.#controlView, control, CMSGHDR + 2);
      this.#controlView.setInt32(control + 8, SOL_UDP, true);
      this.#controlView.setInt32(control + 12, UDP_SEGMENT, true);
      this.#view.setUint32(index * MMSGHDR + MSG_NAMELEN, SOCKADDR_IN, true);
      setPointer(this.#view, index * MMSGHDR + MSG_CONTROL, this.#controlAt + control);
    }
  }

  get messages(): number {
    return this.#messages;
  }
  get pieces(): number {
    return this.#pieceCount;
  }

  clear(): void {
    this.#messages = this.#pieceCount = this.#sent = 0;
  }

  /** Begins a message to the struct sockaddr_in at an address. */
  begin(sockaddr: number): void {
    const at = this.#messages++ * MMSGHDR;
    setPointer(this.#view, at + MSG_NAME, sockaddr);
    setPointer(this.#view, at + MSG_IOV, this.#piecesAt + this.#pieceCount * IOVEC);
    setPointer(this.#view, at + MSG_IOVLEN, 0);
    setPointer(this.#view, at + MSG_CONTROLLEN, 0);
  }

  /** Adds memory to the message begun last. */
  add(address: number, length: number): void {
    const piece = this.#pieceCount++ * IOVEC;
    setPointer(this.#pieceView, piece, address);
    setPointer(this.#pieceView, piece + 8, length);
    const count = (this.#messages - 1) * MMSGHDR + MSG_IOVLEN;
    this.#view.setUint32(count, this.#view.getUint32(count, true) + 1, true);
  }

  /** Makes the message begun last a bundle of datagrams of this size. */
  segment(size: number): void {
    const last = this.#messages - 1;
    this.#controlView.setUint16(last * CONTROL + CMSGHDR, size, true);
    setPointer(this.#view, last * MMSGHDR + MSG_CONTROLLEN, CONTROL);
  }

  /** Segment size of a message, 0 if it is one datagram. */
  segmentOf(index: number): number {
    return this.#view.getUint32(index * MMSGHDR + MSG_CONTROLLEN, true) === 0
      ? 0
      : this.#controlView.getUint16(index * CONTROL + CMSGHDR, true);
  }

  /** How many messages were sent or given up. */
  get sent(): number {
    return this.#sent;
  }

  /** Gives the first unsent message up. */
  skip(): void {
    this.#sent++;
  }

  /** How many datagrams a message stands for. */
  datagramsOf(index: number): number {
    const size = this.segmentOf(index);
    if (size === 0) return 1;
    const [first, count] = this.#piecesOf(index);
    let bytes = 0;
    for (let piece = first; piece < first + count; piece++) {
      bytes += this.#pieceView.getUint32(piece * IOVEC + 8, true);
    }
    return Math.ceil(bytes / size);
  }

  /** Puts the datagrams of a bundle into another box, one a message. Pieces must not span datagrams. */
  unbundle(index: number, target: Outbox): void {
    const size = this.segmentOf(index);
    const [first, count] = this.#piecesOf(index);
    const sockaddr = getPointer(this.#view, index * MMSGHDR + MSG_NAME);
    let left = 0;
    for (let piece = first; piece < first + count; piece++) {
      const length = this.#pieceView.getUint32(piece * IOVEC + 8, true);
      if (left <= 0) {
        target.begin(sockaddr);
        left = size;
      }
      target.add(getPointer(this.#pieceView, piece * IOVEC), length);
      left -= length;
    }
  }

  #piecesOf(index: number): [first: number, count: number] {
    const at = index * MMSGHDR;
    return [
      (getPointer(this.#view, at + MSG_IOV) - this.#piecesAt) / IOVEC,
      this.#view.getUint32(at + MSG_IOVLEN, true),
    ];
  }

  /**
   * Sends what is unsent, as far as the kernel takes it; {@linkcode Outbox.sent} tells how far.
   *
   * @returns 0, or the errno of the first unsent message made negative.
   */
  send(fd: number): number {
    while (this.#sent < this.#messages) {
      const rest = this.#sent === 0 ? this.#bytes : this.#bytes.subarray(this.#sent * MMSGHDR);
      const count = this.#calls.sendmmsg(
        fd,
        rest,
        this.#messages - this.#sent,
        MSG_NOSIGNAL,
      );
      if (count < 0) {
        const number = errno();
        if (number === EINTR) continue;
        return -number;
      }
      this.#sent += count;
    }
    return 0;
  }
}

/** Datagrams received in one call, each in a slot of its own; a slot may hold a bundle of many. */
export class Inbox {
  readonly slots: number;
  readonly slotSize: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #pieces: Uint8Array<ArrayBuffer>;
  readonly #names: Uint8Array<ArrayBuffer>;
  readonly #nameView: DataView;
  readonly #control: Uint8Array<ArrayBuffer>;
  readonly #controlView: DataView;
  readonly #calls = calls();
  #used: number;

  /** @param address Where the first slot is; the others follow. */
  constructor(address: number, slots: number, slotSize: number) {
    this.slots = this.#used = slots;
    this.slotSize = slotSize;
    this.#bytes = new Uint8Array(new ArrayBuffer(slots * MMSGHDR));
    this.#view = new DataView(this.#bytes.buffer);
    this.#pieces = new Uint8Array(new ArrayBuffer(slots * IOVEC));
    this.#names = new Uint8Array(new ArrayBuffer(slots * SOCKADDR_IN));
    this.#nameView = new DataView(this.#names.buffer);
    this.#control = new Uint8Array(new ArrayBuffer(slots * CONTROL));
    this.#controlView = new DataView(this.#control.buffer);
    const pieceView = new DataView(this.#pieces.buffer);
    const [pieces, names, control] = [this.#pieces, this.#names, this.#control]
      .map((bytes) => addressOf(bytes.buffer)) as [number, number, number];
    for (let index = 0; index < slots; index++) {
      setPointer(pieceView, index * IOVEC, address + index * slotSize);
      setPointer(pieceView, index * IOVEC + 8, slotSize);
      const at = index * MMSGHDR;
      setPointer(this.#view, at + MSG_NAME, names + index * SOCKADDR_IN);
      setPointer(this.#view, at + MSG_IOV, pieces + index * IOVEC);
      setPointer(this.#view, at + MSG_IOVLEN, 1);
      setPointer(this.#view, at + MSG_CONTROL, control + index * CONTROL);
    }
  }

  /**
   * Receives what is there into at most `most` slots, without waiting.
   *
   * @returns how many slots were filled, or the errno made negative.
   */
  receive(fd: number, most: number): number {
    for (let index = 0; index < this.#used; index++) {
      const at = index * MMSGHDR;
      this.#view.setUint32(at + MSG_NAMELEN, SOCKADDR_IN, true);
      this.#view.setUint32(at + MSG_CONTROLLEN, CONTROL, true);
    }
    const count = this.#calls.recvmmsg(fd, this.#bytes, most, MSG_DONTWAIT, null);
    this.#used = Math.max(count, 0);
    return count < 0 ? -errno() : count;
  }

  /** Bytes in a slot. */
  length(index: number): number {
    return this.#view.getUint32(index * MMSGHDR + MSG_LEN, true);
  }

  /** Size of the datagrams that a slot's bytes are, the last of which may be shorter. */
  segment(index: number): number {
    const control = index * CONTROL;
    if (
      this.#view.getUint32(index * MMSGHDR + MSG_CONTROLLEN, true) >= CMSGHDR + 4 &&
      this.#controlView.getInt32(control + 8, true) === SOL_UDP &&
      this.#controlView.getInt32(control + 12, true) === UDP_GRO
    ) return this.#controlView.getInt32(control + CMSGHDR, true);
    return this.length(index);
  }

  /** The sender's address as a number. */
  source(index: number): number {
    return this.#nameView.getUint32(index * SOCKADDR_IN + 4);
  }
}

/** Writes a struct sockaddr_in of an address that is a number. */
export function writeSockaddr(
  view: DataView,
  offset: number,
  address: number,
  port: number,
): void {
  view.setUint16(offset, AF_INET, true);
  view.setUint16(offset + 2, port);
  view.setUint32(offset + 4, address);
}
