/**
 * Reading netlink messages. Every read stays inside the bytes that arrived, whatever they say of their own length.
 *
 * @module
 */
import { NLMSG_HDRLEN } from "../linux/netlink.ts";

/** One received message; reused for the next one, so copy what is kept. */
export interface MessageView {
  /** nlmsg_type */
  type: number;
  /** nlmsg_flags */
  flags: number;
  /** nlmsg_seq */
  seq: number;
  /** nlmsg_pid: port id of the socket whose request led to this. */
  pid: number;
  /** The bytes that arrived, those of other messages too. */
  data: Uint8Array;
  /** View on `data`. */
  view: DataView;
  /** Where the payload starts in `data`. */
  offset: number;
  /** Where the message ends in `data`. */
  end: number;
}

/** A view for `walkMessages` to fill. */
export function messageView(): MessageView {
  const data = new Uint8Array(0);
  return {
    type: 0,
    flags: 0,
    seq: 0,
    pid: 0,
    data,
    view: new DataView(data.buffer),
    offset: 0,
    end: 0,
  };
}

/** Calls `visit` for each whole message of a datagram; what is left over and malformed is passed over. */
export function walkMessages(
  data: Uint8Array,
  length: number,
  message: MessageView,
  visit: (message: MessageView) => void,
): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  message.data = data;
  message.view = view;
  for (let at = 0; at + NLMSG_HDRLEN <= length;) {
    const size = view.getUint32(at, true);
    if (size < NLMSG_HDRLEN || at + size > length) return;
    message.type = view.getUint16(at + 4, true);
    message.flags = view.getUint16(at + 6, true);
    message.seq = view.getUint32(at + 8, true);
    message.pid = view.getUint32(at + 12, true);
    message.offset = at + NLMSG_HDRLEN;
    message.end = at + size;
    visit(message);
    at += (size + 3) & ~3;
  }
}

const decoder = new TextDecoder();

/** Positions of a message's attributes by type; reused to spare allocations. */
export class Attributes {
  readonly #at = new Int32Array(128);
  readonly #length = new Int32Array(128);
  /** The bytes that were parsed. */
  data: Uint8Array = new Uint8Array(0);
  /** View on `data`. */
  view: DataView = new DataView(new ArrayBuffer(0));

  /** Finds the attributes between two offsets; the last one of a type counts. */
  parse(data: Uint8Array, view: DataView, start: number, end: number): this {
    this.#at.fill(-1);
    this.data = data;
    this.view = view;
    for (let at = start; at + 4 <= end;) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) break;
      const type = view.getUint16(at + 2, true) & 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
      if (type < 128) {
        this.#at[type] = at + 4;
        this.#length[type] = length - 4;
      }
      at += (length + 3) & ~3;
    }
    return this;
  }
  /** Offset of an attribute's payload, -1 if it is absent or shorter than `least` bytes. */
  at(type: number, least = 0): number {
    const at = this.#at[type]!;
    return at >= 0 && this.#length[type]! >= least ? at : -1;
  }
  /** Bytes of an attribute's payload. */
  length(type: number): number {
    return this.#at[type]! < 0 ? 0 : this.#length[type]!;
  }
  /** One byte. */
  u8(type: number): number | undefined {
    const at = this.at(type, 1);
    return at < 0 ? undefined : this.data[at];
  }
  /** Two bytes in host order. */
  u16(type: number): number | undefined {
    const at = this.at(type, 2);
    return at < 0 ? undefined : this.view.getUint16(at, true);
  }
  /** Two bytes in network order. */
  u16be(type: number): number | undefined {
    const at = this.at(type, 2);
    return at < 0 ? undefined : this.view.getUint16(at, false);
  }
  /** Four bytes in host order. */
  u32(type: number): number | undefined {
    const at = this.at(type, 4);
    return at < 0 ? undefined : this.view.getUint32(at, true);
  }
  /** Text up to its closing zero. */
  string(type: number): string | undefined {
    const at = this.at(type);
    if (at < 0) return undefined;
    const bytes = this.data.subarray(at, at + this.length(type));
    const zero = bytes.indexOf(0);
    return decoder.decode(zero < 0 ? bytes : bytes.subarray(0, zero));
  }
  /**
   * The attributes inside a nested one.
   *
   * @param into Holds them, and forgets what it held: of a dump, one serves all messages.
   */
  nested(type: number, into: Attributes = new Attributes()): Attributes | undefined {
    const at = this.at(type);
    return at < 0 ? undefined : into.parse(this.data, this.view, at, at + this.length(type));
  }
}
