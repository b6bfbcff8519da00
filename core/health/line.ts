/**
 * A connection, as much of it as a check uses.
 *
 * @module
 */

/** What is read from, and written to. */
export interface Line {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The next piece, valid until the next call; undefined at the end. */
  read(): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Bytes of one read. */
const PIECE = 16 * 1024;

/** A connection of Deno's. */
export function lineOf(connection: Deno.Conn): Line {
  const buffer = new Uint8Array(PIECE);
  return {
    async write(bytes) {
      for (let done = 0; done < bytes.length;) {
        done += await connection.write(bytes.subarray(done));
      }
    },
    async read() {
      const count = await connection.read(buffer);
      return count === null ? undefined : buffer.subarray(0, count);
    },
  };
}
