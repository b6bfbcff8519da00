/**
 * The way of this host's programs to the store that its agent holds: two sockets in the agent's state directory, one of root's, and one
 * for the socket's group, who may only read.
 *
 * @module
 */
import { join } from "node:path";
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import type { ByteStream } from "../dqlite/stream.ts";
import type { RemoteWay } from "./link.ts";

/** The sockets in a state directory. */
export const storeSockets = (stateDir: string) => ({
  /** In a directory of root's own: whoever may open it may do everything. */
  all: join(stateDir, "store", "root.sock"),
  /** Beside that one: whoever may open it may have hosts looked for. */
  reaching: join(stateDir, "store", "reach.sock"),
  /** Whoever may open it may read. */
  reading: join(stateDir, "store-read.sock"),
});

function isDenied(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable;
}

/** The way by the agent's sockets. */
export function wayByAgent(stateDir: string, location: string): RemoteWay {
  const sockets = storeSockets(stateDir);
  const open = (path: string): Promise<ByteStream> => Deno.connect({ transport: "unix", path });
  return {
    location,
    servers: () => [sockets.all],
    async dial() {
      try {
        return await open(sockets.all).catch((error) => {
          if (isDenied(error)) return open(sockets.reading);
          throw error;
        });
      } catch (error) {
        if (isDenied(error)) {
          throw new KnetError(`Cannot use the store ${location}: this user may not`, {
            cause: error,
            remedy: `Run it as root, or as a member of the group of ${sockets.reading} to read`,
          });
        }
        const gone = error instanceof Deno.errors.NotFound ||
          error instanceof Deno.errors.ConnectionRefused;
        throw gone
          ? new KnetError(
            `Cannot use the store ${location}: this host's agent holds it, and does not run`,
            { cause: error, remedy: "Start it: systemctl start knet, or knet join" },
          )
          : new StoreAwayError(messageOf(error), { cause: error });
      }
    },
  };
}
