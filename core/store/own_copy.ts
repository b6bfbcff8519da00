/**
 * The hosts' own store as this host's replica has it, for a look while nobody leads: all of it, and nothing newer than what this host was
 * told last.
 *
 * @module
 */
import { DqliteConnection } from "./dqlite/connection.ts";
import { wayByDoor } from "./dqlite/door.ts";
import { openStore } from "./open.ts";
import { endWal } from "./sqlite_connection.ts";
import type { Store } from "./store.ts";

/** Milliseconds that the replica has to hand it over. */
const PATIENCE = 2000;

/**
 * Opens what the replica has, as a database of its own that goes when it is closed.
 *
 * @param directory The replica's.
 * @param folder Where the database is kept meanwhile: of this user alone.
 * @returns undefined if the replica has no copy.
 * @throws {KnetError} if it cannot be asked, or this user may not.
 */
export async function openOwnCopy(directory: string, folder: string): Promise<Store | undefined> {
  const stream = await wayByDoor(directory).dial("");
  using node = await DqliteConnection.begin(stream, undefined, PATIENCE);
  const files = await node.within(PATIENCE, () => node.dump());
  if (files.every(({ bytes }) => bytes.length === 0)) return undefined;
  const place = Deno.makeTempDirSync({ dir: folder, prefix: "copy-" });
  const clear = () => Deno.removeSync(place, { recursive: true });
  try {
    const path = `${place}/knet.db`;
    for (const { name, bytes } of files) {
      Deno.writeFileSync(name.endsWith("-wal") ? `${path}-wal` : path, bytes, { mode: 0o600 });
    }
    // A store is opened as one that hosts share, which must not be in this mode.
    endWal(path);
    const store = await openStore(`sqlite:${path}`, { existing: true });
    return {
      ...store,
      async [Symbol.asyncDispose]() {
        await store[Symbol.asyncDispose]();
        clear();
      },
    };
  } catch (error) {
    clear();
    throw error;
  }
}
