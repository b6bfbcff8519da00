/**
 * Carries the streams of the cluster's own store without any proof of who is there, by TCP: for tests of hosts in namespaces. Who comes
 * says in a line what for, which host it is, and what it may do.
 *
 * @module
 */
import { KnetError, messageOf, StoreAwayError } from "../../core/base/error.ts";
import type { CarrierMaker } from "../../core/agent/store_carrier.ts";
import {
  type ByteStream,
  closeQuietly,
  readAddress,
  writeAddress,
} from "../../core/store/dqlite/stream.ts";

const PORT = 8473;
const PATIENCE = 3000;

/**
 * @param seeds Addresses of hosts to join by; none on the first.
 * @param role What this host may do elsewhere.
 */
export function plainCarrier(seeds: readonly string[], role: "node" | "admin"): CarrierMaker {
  return {
    seeds,
    start({ nodeId, addressesOf, servers }) {
      const listener = Deno.listen({ port: PORT });
      const instance = crypto.randomUUID();
      const streams = new Set<ByteStream>();
      const who = async (hostname: string): Promise<string[]> => {
        try {
          using stream = await Deno.connect({ hostname, port: PORT });
          await writeAddress(stream, "who");
          return (await readAddress(stream, PATIENCE))?.split(" ") ?? [];
        } catch {
          return []; // Nobody is there.
        }
      };
      const found = async (host: string): Promise<string | undefined> => {
        for (const seed of seeds) if ((await who(seed))[0] === host) return seed;
      };
      const serve = async (stream: ByteStream) => {
        streams.add(stream);
        const line = await readAddress(stream, PATIENCE);
        const [purpose, who, peerRole] = line?.split(" ") ?? [];
        if (purpose === "replica" && who) await servers.replica(stream, who);
        else if (purpose === "store" && who) {
          await servers.store(
            stream,
            peerRole === "admin" ? { role: "admin" } : { role: "node", nodeId: who },
          );
        } else if (purpose === "who") await writeAddress(stream, `${nodeId} ${instance}`);
        closeQuietly(stream);
        streams.delete(stream);
      };
      void (async () => {
        for await (const stream of listener) void serve(stream);
      })();
      return Promise.resolve({
        number: PORT,
        async twin(known, isOwn) {
          for (const hostname of known.filter((address) => !isOwn(address))) {
            const said = await who(hostname);
            if (said[0] === nodeId && said[1] !== instance) return hostname;
          }
        },
        async dial(host, purpose) {
          const hostname = seeds.includes(host) ? host : addressesOf(host)[0] ?? await found(host);
          if (hostname === undefined) throw new StoreAwayError(`nobody knows where ${host} is`);
          try {
            const stream = await Deno.connect({ hostname, port: PORT });
            stream.setNoDelay(true);
            await writeAddress(stream, `${purpose} ${nodeId} ${role}`);
            return stream;
          } catch (error) {
            if (error instanceof KnetError) throw error;
            throw new StoreAwayError(messageOf(error));
          }
        },
        [Symbol.asyncDispose]() {
          listener.close();
          for (const stream of streams) closeQuietly(stream);
          return Promise.resolve();
        },
      });
    },
  };
}
