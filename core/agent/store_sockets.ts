/**
 * The sockets by which this host's programs reach the store that its agent holds, and have hosts looked for: who may open which is who
 * may do what.
 *
 * @module
 */
import { dirname } from "node:path";
import { sleep } from "../base/clock.ts";
import { removeIfPresent } from "../base/files.ts";
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import { storeSockets } from "../store/remote/agent_way.ts";
import type { Peer } from "../store/remote/server.ts";

/** Connections at once of those who may only read: what they take, root does not lack. */
const MOST_READERS = 32;
/** Milliseconds after which an accept that failed is tried again. */
const BREATH = 100;

/** Who serves those that come; each returns when the stream is over. */
export interface SocketServers {
  /** Of the store. */
  readonly store: (stream: ByteStream, peer: Peer) => Promise<void>;
  /** Of `knet store reach`. */
  readonly reach: (stream: ByteStream) => Promise<void>;
}

/** Serves all sockets until disposed. */
export function serveStoreSockets(
  stateDir: string,
  { store: serve, reach }: SocketServers,
): Disposable {
  using stack = new DisposableStack();
  const { all, reading, reaching } = storeSockets(stateDir);
  // Of root alone before the socket is in it: whatever the umask, nobody slips in before its mode is set.
  Deno.mkdirSync(dirname(all), { recursive: true, mode: 0o700 });
  Deno.chmodSync(dirname(all), 0o700);
  stack.use(serveSocket(all, 0o600, Infinity, (stream) => serve(stream, { role: "admin" })));
  stack.use(serveSocket(reaching, 0o600, MOST_READERS, reach));
  stack.use(
    serveSocket(reading, 0o660, MOST_READERS, (stream) => serve(stream, { role: "reader" })),
  );
  return stack.move();
}

function serveSocket(
  path: string,
  mode: number,
  most: number,
  serve: (stream: ByteStream) => Promise<void>,
): Disposable {
  removeIfPresent(path); // Nobody else serves it: the agent's lock is ours.
  const listener = Deno.listen({ transport: "unix", path });
  Deno.chmodSync(path, mode);
  const end = new AbortController();
  let count = 0;
  const take = async (stream: ByteStream) => {
    if (count >= most) return closeQuietly(stream);
    count++;
    await serve(stream).catch(() => {}).finally(() => {
      count--;
      closeQuietly(stream);
    });
  };
  void (async () => {
    while (!end.signal.aborted) {
      try {
        void take(await listener.accept());
      } catch {
        // No descriptor left, for instance: it gets better or it does not.
        await sleep(BREATH, end.signal);
      }
    }
  })();
  return {
    [Symbol.dispose]() {
      end.abort();
      listener.close();
      removeIfPresent(path);
    },
  };
}
