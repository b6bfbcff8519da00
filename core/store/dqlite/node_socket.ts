/**
 * The last step to a node: what the library must be kept from.
 *
 * Version 1.11 goes on with what a client asked for after the client has gone, in memory that it freed with the connection, and a client
 * that stops in the middle of a transaction keeps the database's lock for ever. Both end the whole process, or the whole cluster's
 * writing.
 *
 * @module
 */
import { after, type Timer } from "../../base/clock.ts";
import { type ByteStream, carry, closeQuietly } from "./stream.ts";
import { HEADER, PROTOCOL, REQUEST } from "./wire.ts";

/** Milliseconds that a client may take until its next question: more than the deadline of a call, less than others wait for the lock. */
const THINKING = 7000;

/** A stream to a node that is closed only when the node has answered what it was asked. */
export function shield(inner: ByteStream): ByteStream {
  let asked = false;
  let reading = false;
  let closed = false;
  const end = () => closeQuietly(inner);
  const read = async (into: Uint8Array): Promise<number | null> => {
    reading = true;
    try {
      const count = await inner.read(into);
      asked = false;
      if (!closed) return count;
      end();
      return null;
    } catch (error) {
      if (closed) end();
      throw error;
    } finally {
      reading = false;
    }
  };
  return {
    read: (into) => closed ? Promise.resolve(null) : read(into),
    write(bytes) {
      if (closed) return Promise.reject(new Deno.errors.BadResource("The stream is closed"));
      asked = true;
      return inner.write(bytes);
    },
    close() {
      if (closed) return;
      closed = true;
      if (!asked) end();
      else if (!reading) void read(new Uint8Array(HEADER)).catch(() => {});
    },
  };
}

/** Connects to the node of this process by its own socket. */
export async function connectNode(socket: string): Promise<ByteStream> {
  return shield(await Deno.connect({ transport: "unix", path: socket }));
}

/**
 * Lets whoever came talk to the node until either ends. A client that asks nothing for a while is sent away, and its transaction with it;
 * another node's library is not.
 */
export async function serveNode(stream: ByteStream, node: ByteStream): Promise<void> {
  const begin = new Uint8Array(PROTOCOL.length + HEADER);
  let seen = 0;
  let timer: Timer | undefined;
  const isNode = () => seen === begin.length && begin[PROTOCOL.length + 4] === REQUEST.connect;
  const wait = () => {
    timer?.cancel();
    timer = after(THINKING, () => closeQuietly(stream), { idle: true });
  };
  wait();
  await carry(stream, node, {
    fromA(bytes) {
      const part = bytes.subarray(0, begin.length - seen);
      begin.set(part, seen);
      seen += part.length;
      // Asked, and not answered yet: that is not the client's fault.
      timer?.cancel();
      if (seen < begin.length) wait();
    },
    fromB() {
      if (!isNode()) wait();
    },
  });
  timer?.cancel();
}
