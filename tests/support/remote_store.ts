/**
 * A store behind a server of its own interface, on a socket in a folder, for tests.
 *
 * @module
 */
import { openEngine } from "../../core/store/open.ts";
import type { ByteStream } from "../../core/store/dqlite/stream.ts";
import type { RemoteWay } from "../../core/store/remote/link.ts";
import { type Peer, StoreServer } from "../../core/store/remote/server.ts";

/** A server, and the way to it. */
export interface ServedStore extends AsyncDisposable {
  readonly server: StoreServer;
  readonly way: RemoteWay;
  readonly path: string;
}

/**
 * Serves the store of a URL.
 *
 * @param peer Who everybody is who comes.
 * @param wrap What is done with the server's end of each connection.
 */
export async function serveStore(
  url: string,
  peer: Peer = { role: "admin" },
  wrap: (stream: ByteStream) => ByteStream = (stream) => stream,
): Promise<ServedStore> {
  const folder = await Deno.makeTempDir({ prefix: "knet-remote-" });
  const path = `${folder}/store.sock`;
  const engine = await openEngine(url, { background: false });
  const server = new StoreServer(() => ({
    engine,
    repairing: () => openEngine(url, { repair: true }),
  }));
  const listener = Deno.listen({ transport: "unix", path });
  const serving = (async () => {
    for await (const stream of listener) void server.accept(wrap(stream), peer);
  })();
  return {
    server,
    path,
    way: {
      location: "dqlite:",
      servers: () => ["one"],
      dial: () => Deno.connect({ transport: "unix", path }),
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
      server[Symbol.dispose]();
      await engine.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
