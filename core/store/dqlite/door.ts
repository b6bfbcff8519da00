/**
 * The door of a host's replica: one Unix socket in a directory of root's own, by which this host's programs, and the library itself,
 * get to any node.
 *
 * @module
 */
import { dirname } from "node:path";
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import { removeIfPresent } from "../../base/files.ts";
import { NoStoreError } from "../location.ts";
import { filesIn, readIdentity, readMembersFile } from "./identity.ts";
import type { Way } from "./leader.ts";
import { type ByteStream, closeQuietly, readAddress, writeAddress } from "./stream.ts";

/** Milliseconds within which whoever comes says whom it wants. */
const ADDRESS_PATIENCE = 2000;

/**
 * Opens the door.
 *
 * @param path The socket; its directory is open to its owner alone.
 * @param lead Brings whoever came to a node; if it cannot, the stream is closed.
 */
export function openDoor(
  path: string,
  lead: (address: string, stream: ByteStream) => Promise<void>,
): Disposable {
  removeIfPresent(path);
  const listener = Deno.listen({ transport: "unix", path });
  Deno.chmodSync(path, 0o600);
  const streams = new Set<ByteStream>();
  const serve = async (stream: ByteStream) => {
    streams.add(stream);
    try {
      const address = await readAddress(stream, ADDRESS_PATIENCE);
      if (address !== undefined) await lead(address, stream);
    } catch {
      // Whoever came sees the stream end; why is told by whoever looks after the members.
    } finally {
      streams.delete(stream);
      closeQuietly(stream);
    }
  };
  void (async () => {
    for (;;) {
      try {
        void serve(await listener.accept());
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
          return;
        }
        // No descriptor left, for instance: it gets better or it does not.
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  })();
  return {
    [Symbol.dispose]() {
      listener.close();
      for (const stream of streams) closeQuietly(stream);
      removeIfPresent(path);
    },
  };
}

/** The way of a program that is not the agent: by the door. */
export function wayByDoor(directory: string): Way {
  const location = `dqlite:${directory}`;
  const { door } = filesIn(directory);
  return {
    location,
    async dial(address) {
      try {
        const stream = await Deno.connect({ transport: "unix", path: door });
        await writeAddress(stream, address);
        return stream;
      } catch (error) {
        throw explain(error, directory);
      }
    },
    remembered() {
      try {
        return readMembersFile(directory);
      } catch {
        return [];
      }
    },
  };
}

function explain(error: unknown, directory: string): KnetError {
  const about = `Cannot use the store dqlite:${directory}`;
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return new KnetError(`${about}: this user may not`, {
      cause: error,
      remedy: `Run it as root: ${directory} is open to root alone`,
    });
  }
  if (error instanceof Deno.errors.NotFound && !hasReplica(directory)) {
    return new NoStoreError(directory);
  }
  return new StoreAwayError(
    `${about}: the agent that holds this host's replica does not run (${messageOf(error)})`,
    { cause: error, remedy: "Start it: systemctl start knet, or knet join" },
  );
}

function hasReplica(directory: string): boolean {
  try {
    return Deno.statSync(dirname(filesIn(directory).node)).isDirectory &&
      readIdentity(directory) !== undefined;
  } catch {
    return false;
  }
}
