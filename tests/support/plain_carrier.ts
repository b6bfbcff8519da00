/**
 * Carries the streams of the cluster's own store without any proof of who is there, by TCP: for tests of hosts in namespaces. Who comes
 * says in a line what for, which host it is, and what it may do.
 *
 * @module
 */
import { firstOf } from "../../core/base/first_of.ts";
import { messageOf, StoreAwayError } from "../../core/base/error.ts";
import type { CarrierMaker } from "../../core/agent/store_carrier.ts";
import {
  type ByteStream,
  closeQuietly,
  readAddress,
  writeAddress,
} from "../../core/store/dqlite/stream.ts";

const PORT = 8473;
const PATIENCE = 3000;
/** Milliseconds until the next address is tried beside one that does not answer. */
const STAGGER = 150;

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
      /** Where hosts came from, the last one first. */
      const met = new Map<string, Set<string>>();
      const connect = async (hostname: string, purpose: string): Promise<ByteStream> => {
        try {
          const stream = await Deno.connect({ hostname, port: PORT });
          stream.setNoDelay(true);
          await writeAddress(stream, `${purpose} ${nodeId} ${role}`);
          return stream;
        } catch (error) {
          throw new StoreAwayError(messageOf(error));
        }
      };
      const serve = async (stream: Deno.TcpConn) => {
        streams.add(stream);
        const line = await readAddress(stream, PATIENCE);
        const [purpose, who, peerRole] = line?.split(" ") ?? [];
        const from = (stream.remoteAddr as Deno.NetAddr).hostname;
        if (who) met.set(who, new Set([from, ...met.get(who) ?? []]));
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
          if (seeds.includes(host)) return await connect(host, purpose);
          const places = new Set([...addressesOf(host), ...met.get(host) ?? []]);
          const ways = [...places].map((place) => () => connect(place, purpose));
          const searched = async () => {
            const place = await found(host);
            if (place !== undefined) return await connect(place, purpose);
            throw new StoreAwayError(`nobody knows where ${host} is`);
          };
          try {
            return await firstOf([...ways, searched], STAGGER, closeQuietly);
          } catch (error) {
            throw (error as AggregateError).errors[0];
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
