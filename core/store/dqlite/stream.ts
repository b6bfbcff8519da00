/**
 * Streams of bytes between nodes and clients, whoever carries them: the first line, and both ways at once.
 *
 * A stream to a node begins with the address of the node that is meant, and a line feed. A node answers to its own address only: one
 * that lost its data has another, and what was meant for the one before must not get a vote of the one after.
 *
 * @module
 */
import { after } from "../../base/clock.ts";

/** A connection. Deno's own are such. */
export interface ByteStream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What carries streams from host to host: it knows where a node's host is now, and proves to each side who the other is. */
export interface NodeTransport {
  /**
   * Makes a stream to the host of a node, on which {@linkcode Replica.accept} is given its other end. The first line is not its part.
   *
   * @param address The node's, see {@linkcode nameOf}.
   */
  dial(address: string): Promise<ByteStream>;
}

/** The longest first line, bytes. */
const LONGEST_LINE = 200;
/** Bytes that are carried at a time. */
const CHUNK = 16_384;

/** Closes a stream, which may be closed already. */
export function closeQuietly(stream: ByteStream): void {
  try {
    stream.close();
  } catch {
    // It was closed before.
  }
}

/** Writes all bytes. */
export async function writeAll(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
}

/** Fills a buffer; false if the stream ends before. */
export async function readFull(stream: ByteStream, into: Uint8Array): Promise<boolean> {
  for (let at = 0; at < into.length;) {
    const count = await stream.read(into.subarray(at));
    if (count === null) return false;
    at += count;
  }
  return true;
}

/** Says which node is meant; the empty address is the node of the host that is asked. */
export async function writeAddress(stream: ByteStream, address: string): Promise<void> {
  await writeAll(stream, new TextEncoder().encode(`${address}\n`));
}

/** Reads which node is meant, and not a byte more; undefined if that does not come. */
export async function readAddress(
  stream: ByteStream,
  patience: number,
): Promise<string | undefined> {
  const timer = after(patience, () => closeQuietly(stream), { idle: true });
  try {
    const line: number[] = [];
    const byte = new Uint8Array(1);
    while (line.length <= LONGEST_LINE) {
      if (!await readFull(stream, byte)) return undefined;
      if (byte[0] === 10) return new TextDecoder().decode(new Uint8Array(line));
      line.push(byte[0]!);
    }
    return undefined;
  } catch {
    return undefined;
  } finally {
    timer.cancel();
  }
}

/** What is told of bytes on their way. */
export interface Listeners {
  /** Of what `a` says. */
  readonly fromA?: (bytes: Uint8Array) => void;
  /** Of what `b` says. */
  readonly fromB?: (bytes: Uint8Array) => void;
}

/**
 * Carries bytes both ways until either end is closed; then both are.
 *
 * @returns which end was closed first.
 */
export async function carry(
  a: ByteStream,
  b: ByteStream,
  { fromA, fromB }: Listeners = {},
): Promise<"a" | "b"> {
  let first: "a" | "b" | undefined;
  const oneWay = async (
    from: ByteStream,
    to: ByteStream,
    tell: ((bytes: Uint8Array) => void) | undefined,
  ) => {
    const buffer = new Uint8Array(CHUNK);
    let at = from;
    try {
      for (;;) {
        at = from;
        const count = await from.read(buffer);
        if (count === null) return;
        tell?.(buffer.subarray(0, count));
        at = to;
        await writeAll(to, buffer.subarray(0, count));
      }
    } catch {
      // It ended, in another way.
    } finally {
      first ??= at === a ? "a" : "b";
      closeQuietly(a);
      closeQuietly(b);
    }
  };
  await Promise.all([oneWay(a, b, fromA), oneWay(b, a, fromB)]);
  return first!;
}
