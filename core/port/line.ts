/**
 * The first lines on a connection of the port: what it is for, and whether that is granted.
 *
 * @module
 */
import { type ByteStream, readFull } from "../store/dqlite/stream.ts";

/** The longest line, bytes, without its end. */
export const LONGEST_LINE = 64;

/**
 * Reads a line and not a byte more.
 *
 * @returns undefined if the stream ends before the line, or it is too long.
 */
export async function readLine(stream: ByteStream): Promise<string | undefined> {
  const line: number[] = [];
  const byte = new Uint8Array(1);
  while (line.length <= LONGEST_LINE) {
    if (!await readFull(stream, byte)) return undefined;
    if (byte[0] === 10) return new TextDecoder().decode(new Uint8Array(line));
    line.push(byte[0]!);
  }
  return undefined;
}
