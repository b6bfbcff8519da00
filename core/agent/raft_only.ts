/**
 * A stream of a host that holds no copy of the store: its replica may be spoken to by the others' and answer, but ask for no data. Who leads
 * it may ask, once: by that it looks which hosts are alive, if it leads itself and this host does not know that yet.
 *
 * @module
 */
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import { HEADER, PROTOCOL, REQUEST } from "../store/dqlite/wire.ts";

/** Bytes of the first line at most. */
const LONGEST_LINE = 200;
const LINE_FEED = 10;

/** Bytes of the request for who leads behind its type: the rest of its header, and one word. */
const REST_OF_LEADER = HEADER - 5 + 8;

/**
 * Passes a stream on only if it begins as one replica's to another does: the line that names the node, the protocol, and the request by
 * which the library's own connections are made; or the one for who leads, and nothing behind it.
 */
export function raftOnly(inner: ByteStream): ByteStream {
  let line = 0;
  let ended = false;
  const head: number[] = [];
  /** Bytes that may follow what decides it. */
  let left = 0;
  /** Whether what was seen so far may go on. */
  const passes = (byte: number): boolean => {
    if (!ended) {
      ended = byte === LINE_FEED;
      return ++line <= LONGEST_LINE;
    }
    if (head.length > PROTOCOL.length + 4) return --left >= 0;
    head.push(byte);
    if (head.length < PROTOCOL.length + 5) return true;
    const [words, ...more] = head.slice(PROTOCOL.length, PROTOCOL.length + 4);
    const asksLeader = byte === REQUEST.leader && words === 1 && more.every((one) => one === 0);
    left = byte === REQUEST.connect ? Infinity : asksLeader ? REST_OF_LEADER : -1;
    return left >= 0;
  };
  return {
    async read(into) {
      const count = await inner.read(into);
      if (count === null || left === Infinity) return count;
      for (const byte of into.subarray(0, count)) {
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
