/**
 * Messages over a stream of bytes: the length in four bytes, the highest first, then JSON in UTF-8.
 *
 * @module
 */
import { type ByteStream, readFull, writeAll } from "../dqlite/stream.ts";

/** The version of the messages' meaning; both sides have to have the same. */
export const PROTOCOL = 1;

/** Bytes of the longest message: a whole store, or the edit of all its services. */
export const LONGEST = 64 * 1024 * 1024;
/** Bytes that are made room for at a time: who announces much has to send it first. */
const PART = 256 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * A message's bytes.
 *
 * @throws {RangeError} if it is too long.
 */
export function encodeMessage(value: unknown): Uint8Array {
  const text = encoder.encode(JSON.stringify(value));
  if (text.length > LONGEST) {
    throw new RangeError(`A message of ${text.length} bytes is longer than ${LONGEST}`);
  }
  const bytes = new Uint8Array(4 + text.length);
  new DataView(bytes.buffer).setUint32(0, text.length);
  bytes.set(text, 4);
  return bytes;
}

/** Writes messages one after the other, each whole. */
export class MessageWriter {
  readonly #stream: ByteStream;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** Bytes that the other side has not taken yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /** @throws what the stream does, or {RangeError} if the message is too long. */
  write(value: unknown): Promise<void> {
    const bytes = encodeMessage(value);
    this.#waiting += bytes.length;
    const turn = this.#last.then(() => writeAll(this.#stream, bytes));
    this.#last = turn.catch(() => {});
    return turn.finally(() => {
      this.#waiting -= bytes.length;
    });
  }
}

/**
 * Reads the next message; undefined at the stream's end.
 *
 * @param longest Bytes that it may have.
 * @param onPart Told of each part that came.
 * @throws {RangeError} if it is longer. {SyntaxError} or {TypeError} if it is no JSON.
 */
export async function readMessage(
  stream: ByteStream,
  longest = LONGEST,
  onPart: () => void = () => {},
): Promise<unknown> {
  const head = new Uint8Array(4);
  if (!await readFull(stream, head)) return undefined;
  const length = new DataView(head.buffer).getUint32(0);
  if (length > longest) {
    throw new RangeError(`A message of ${length} bytes is longer than ${longest}`);
  }
  let bytes = new Uint8Array(Math.min(length, PART));
  for (let at = 0; at < length;) {
    if (at === bytes.length) {
      const more = new Uint8Array(Math.min(bytes.length * 2, length));
      more.set(bytes);
      bytes = more;
    }
    const count = await stream.read(bytes.subarray(at));
    if (count === null) return undefined;
    at += count;
    onPart();
  }
  const value = JSON.parse(decoder.decode(bytes));
  if (value === undefined || value === null) throw new TypeError("A message is no object");
  return value;
}
