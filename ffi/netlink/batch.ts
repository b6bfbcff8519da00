/**
 * Many netlink messages in one buffer, written field by field in the kernel's byte order.
 *
 * @module
 */
import { writeAddress, writeMac } from "../ip.ts";
import {
  NLA_HDRLEN,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  NLMSG_HDRLEN,
} from "../linux/netlink.ts";

export {
  NLA_F_NESTED,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  NLMSG_HDRLEN,
} from "../linux/netlink.ts";

const encoder = new TextEncoder();

/**
 * How an object is written: "add" fails if it exists, "replace" overwrites or creates it, "append" puts it behind what is there, "prepend" before it.
 */
export type WriteVerb = "add" | "replace" | "append" | "prepend" | "delete";

/** The NLM_F_ flags of a verb. */
export function verbFlags(verb: WriteVerb): number {
  switch (verb) {
    case "add":
      return NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
    case "replace":
      return NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
    case "append":
      return NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND;
    case "prepend":
      return NLM_F_REQUEST | NLM_F_CREATE;
    case "delete":
      return NLM_F_REQUEST;
  }
}

/** A growing buffer of messages. Fields are written in order; `begin` starts a message and `end` closes it. */
export class Batch {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #at = 0;
  #start = 0;
  readonly #starts: number[] = [];
  readonly #describe: (() => string)[] = [];

  /**
   * An empty batch.
   *
   * @param capacity Bytes to begin with; it grows as it needs to.
   */
  constructor(capacity = 1 << 16) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Number of messages. */
  get count(): number {
    return this.#starts.length;
  }
  /** Number of bytes. */
  get size(): number {
    return this.#at;
  }
  /** The bytes written so far; valid until the next write. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }
  /** View on the same bytes. */
  get view(): DataView<ArrayBuffer> {
    return this.#view;
  }
  /** Offset of a message's header. */
  startOf(index: number): number {
    return this.#starts[index] ?? this.#at;
  }
  /** What a message does, for error messages. */
  describe(index: number): string {
    return this.#describe[index]?.() ?? "send a netlink message";
  }

  /** Forgets all messages and keeps the buffer. */
  clear(): void {
    this.#at = 0;
    this.#starts.length = 0;
    this.#describe.length = 0;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  /**
   * Starts a message.
   *
   * @param type nlmsg_type.
   * @param flags nlmsg_flags.
   * @param describe Says what the message does, for an error; called only then.
   */
  begin(type: number, flags: number, describe: () => string): void {
    this.#room(NLMSG_HDRLEN);
    const at = this.#at;
    const view = this.#view;
    this.#start = at;
    this.#starts.push(at);
    this.#describe.push(describe);
    view.setUint32(at, 0, true);
    view.setUint32(at + 4, type | flags << 16, true);
    view.setUint32(at + 8, 0, true);
    view.setUint32(at + 12, 0, true);
    this.#at = at + NLMSG_HDRLEN;
  }

  /** Takes back the last message, also one that was begun and not ended. */
  drop(): void {
    const start = this.#starts.pop();
    if (start === undefined) return;
    this.#describe.pop();
    this.#at = start;
  }

  /** Closes the message. */
  end(): void {
    this.#align();
    this.#view.setUint32(this.#start, this.#at - this.#start, true);
  }

  /** Takes over a whole message that something else built. */
  message(bytes: Uint8Array, describe: () => string): void {
    this.#room(bytes.length);
    this.#starts.push(this.#at);
    this.#describe.push(describe);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    this.#align();
  }

  #align(): void {
    while (this.#at & 3) {
      this.#room(1);
      this.#bytes[this.#at++] = 0;
    }
  }

  /** One byte. */
  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }
  /** Two bytes in host order (little endian: knet runs on no other). */
  u16(value: number): void {
    this.#room(2);
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }
  /** Four bytes in host order. */
  u32(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  #attribute(type: number, payload: number): number {
    const size = NLA_HDRLEN + ((payload + 3) & ~3);
    this.#room(size);
    const at = this.#at;
    const view = this.#view;
    // The last word first: what the payload leaves of it is padding.
    view.setUint32(at + size - 4, 0, true);
    view.setUint32(at, NLA_HDRLEN + payload | type << 16, true);
    this.#at = at + size;
    return at + NLA_HDRLEN;
  }

  /** Attribute without a payload. */
  attrFlag(type: number): void {
    this.#attribute(type, 0);
  }
  /** Attribute of one byte. */
  attrU8(type: number, value: number): void {
    const at = this.#attribute(type, 1); // First: it may make a larger buffer.
    this.#bytes[at] = value;
  }
  /** Attribute of two bytes in host order. */
  attrU16(type: number, value: number): void {
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value, true);
  }
  /** Attribute of two bytes in network order. */
  attrU16be(type: number, value: number): void {
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value, false);
  }
  /** Attribute of four bytes in host order. */
  attrU32(type: number, value: number): void {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value, true);
  }
  /** Attribute that holds an address; a prefix length in the text is passed over. */
  attrAddress(type: number, address: string): void {
    this.#room(NLA_HDRLEN + 16);
    const at = this.#at;
    const length = writeAddress(address, this.#bytes, at + NLA_HDRLEN);
    this.#view.setUint32(at, NLA_HDRLEN + length | type << 16, true);
    this.#at = at + NLA_HDRLEN + length;
  }
  /** Attribute that holds a MAC address. */
  attrMac(type: number, mac: string): void {
    const at = this.#attribute(type, 6);
    writeMac(mac, this.#bytes, at);
  }
  /** Attribute that holds a string with its closing zero. */
  attrString(type: number, text: string): void {
    const bytes = encoder.encode(text);
    const at = this.#attribute(type, bytes.length + 1);
    this.#bytes.set(bytes, at);
    this.#bytes[at + bytes.length] = 0;
  }
  /** Attribute that holds raw bytes. */
  attrBytes(type: number, bytes: Uint8Array): void {
    const at = this.#attribute(type, bytes.length);
    this.#bytes.set(bytes, at);
  }
  /** Starts a nested attribute; give what it returns to `endNest`. */
  beginNest(type: number): number {
    return this.#attribute(type, 0) - NLA_HDRLEN;
  }
  /** Closes a nested attribute. */
  endNest(start: number): void {
    this.#view.setUint16(start, this.#at - start, true);
  }
}
