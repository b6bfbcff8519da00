/**
 * A stream of a host that holds no copy of the store: its replica may be spoken to by the others' and answer, but ask for no data.
 *
 * @module
 */
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import { HEADER, PROTOCOL, REQUEST } from "../store/dqlite/wire.ts";

/** Bytes of the first line at most. */
const LONGEST_LINE = 200;
const LINE_FEED = 10;

/**
 * Passes a stream on only if it begins as one replica's to another does: the line that names the node, the protocol, and the request by
 * which the library's own connections are made.
 */
export function raftOnly(inner: ByteStream): ByteStream {
  let line = 0;
  let ended = false;
  const head: number[] = [];
  /** Whether what was seen so far may go on. */
  const passes = (byte: number): boolean => {
    if (!ended) {
      ended = byte === LINE_FEED;
      return ++line <= LONGEST_LINE;
    }
    head.push(byte);
    return head.length !== PROTOCOL.length + 5 || byte === REQUEST.connect;
  };
  return {
    async read(into) {
      const count = await inner.read(into);
      if (count === null || head.length > PROTOCOL.length + HEADER) return count;
      for (const byte of into.subarray(0, count)) {
        if (head.length > PROTOCOL.length + HEADER) break;
        if (passes(byte)) continue;
        closeQuietly(inner);
        return null;
      }
      return count;
    },
    write: (bytes) => inner.write(bytes),
    close: () => inner.close(),
  };
}
