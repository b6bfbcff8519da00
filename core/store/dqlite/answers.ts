/**
 * What a node answers, read from the bodies of its messages. Pure: whatever the bytes are, it is values or a {@linkcode WireError}.
 *
 * @module
 */
import type { Row, SqlValue } from "../engine.ts";
import { type Member, padded, ROLES, TYPE, WireError, WORD } from "./wire.ts";

const decoder = new TextDecoder();

/** Reads a body. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(count: number): number {
    if (count > this.left) throw new WireError("it ends too early");
    const at = this.#at;
    this.#at += count;
    return at;
  }

  byte(at: number): number {
    return this.#bytes[at]!;
  }

  /** Of 64 bits; whether it is one of the marks is seen by its halves. */
  unsigned(): bigint {
    return this.#view.getBigUint64(this.take(WORD), true);
  }

  /** An id or a count. */
  whole(): number {
    const value = this.unsigned();
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new WireError(`the number ${value} is too large`);
    return number;
  }

  /** A value of SQLite's: beyond 2^53 the nearest number that there is, which no rule of knet's lets pass. */
  integer(): number {
    return Number(this.#view.getBigInt64(this.take(WORD), true));
  }

  float(): number {
    return this.#view.getFloat64(this.take(WORD), true);
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const at = this.take(count);
    return new Uint8Array(this.#bytes.subarray(at, at + count));
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw new WireError("a text has no end");
    const length = end - this.#at;
    const at = this.take(padded(length + 1));
    return decoder.decode(this.#bytes.subarray(at, at + length));
  }
}

/** An answer that says what went wrong. */
export interface Failure {
  /** SQLite's (extended) result code, or one of dqlite's. */
  readonly code: number;
  readonly message: string;
}

/** Reads what a failure says. */
export function readFailure(body: Uint8Array): Failure {
  const reader = new Reader(body);
  // Codes of libraft's own come as negative numbers.
  return { code: Number(BigInt.asIntN(64, reader.unsigned())), message: reader.text() };
}

/** Reads who leads; undefined if the node that was asked does not know. */
export function readLeader(body: Uint8Array): { id: number; address: string } | undefined {
  const reader = new Reader(body);
  const [id, address] = [reader.whole(), reader.text()];
  return address === "" ? undefined : { id, address };
}

/** Reads the members of a cluster. */
export function readMembers(body: Uint8Array): Member[] {
  const reader = new Reader(body);
  const count = reader.whole();
  // Each takes three words at least.
  if (count > reader.left / (3 * WORD)) {
    throw new WireError(`${count} members in ${reader.left} bytes`);
  }
  return Array.from({ length: count }, () => {
    const [id, address, number] = [reader.whole(), reader.text(), reader.whole()];
    const role = ROLES[number];
    if (role === undefined) throw new WireError(`a member of role ${number}`);
    return { id, address, role };
  });
}

/** A file of a database that a node has. */
export interface DumpedFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Reads the files of a database. */
export function readFiles(body: Uint8Array): DumpedFile[] {
  const reader = new Reader(body);
  const count = reader.whole();
  // Each takes two words at least.
  if (count > reader.left / (2 * WORD)) {
    throw new WireError(`${count} files in ${reader.left} bytes`);
  }
  return Array.from({ length: count }, () => {
    const name = reader.text();
    return { name, bytes: reader.bytes(reader.whole()) };
  });
}

// What a batch of rows ends with.
const DONE = 0xffffffffffffffffn;
const PART = 0xeeeeeeeeeeeeeeeen;

/** Reads a batch of rows. */
export function readRows(body: Uint8Array): { readonly rows: Row[]; readonly more: boolean } {
  const reader = new Reader(body);
  const columns = reader.whole();
  if (columns === 0 || columns > reader.left / WORD) throw new WireError(`${columns} columns`);
  for (let n = 0; n < columns; n++) reader.text();
  const rows: Row[] = [];
  // Types come four bits each; a row begins with a byte that no pair of types makes a mark's.
  const types = padded(Math.ceil(columns / 2));
  for (;;) {
    if (reader.left < WORD) throw new WireError("rows have no end");
    const first = reader.take(WORD);
    const mark = reader.byte(first);
    if (mark === 0xff || mark === 0xee) {
      const word = new DataView(body.buffer, body.byteOffset).getBigUint64(first, true);
      if (word !== DONE && word !== PART) throw new WireError("a row of no known types");
      return { rows, more: word === PART };
    }
    reader.take(types - WORD);
    const row: SqlValue[] = [];
    for (let n = 0; n < columns; n++) {
      row.push(value(reader, reader.byte(first + (n >> 1)) >> (n % 2 * 4) & 0xf));
    }
    rows.push(row);
  }
}

function value(reader: Reader, type: number): SqlValue {
  switch (type) {
    case TYPE.integer:
    case TYPE.unixtime:
    case TYPE.boolean:
      return reader.integer();
    case TYPE.float:
      return reader.float();
    case TYPE.text:
    case TYPE.iso8601:
      return reader.text();
    case TYPE.null:
      reader.take(WORD);
      return null;
    case TYPE.blob:
      // No column of knet's holds one; where somebody has put it, no rule lets null pass.
      reader.take(padded(reader.whole()));
      return null;
    default:
      throw new WireError(`a value of type ${type}`);
  }
}
