/**
 * Opens the store that a URL names. The engine is loaded only then.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";
import type { StoreAdmin } from "./admin.ts";
import type { StoreAuthority } from "./authority.ts";
import type { Engine } from "./engine.ts";
import type { Notices } from "./dqlite/engine.ts";
import type { Way } from "./dqlite/leader.ts";
import { redactUrl } from "../base/secrets.ts";
import { DEFAULT_STORE, dqliteDirectory, sqlitePath } from "./location.ts";
import type { RemoteWay } from "./remote/link.ts";
import { sqlStore } from "./sql_store.ts";
import type { Store } from "./store.ts";

export { DEFAULT_STORE, redactUrl, sqlitePath };

/** How a store is opened. */
export interface StoreOptions {
  /** Milliseconds that one call may take; the default is 5 s. */
  readonly deadlineMs?: number;
  /**
   * For programs that must not stop whatever the store does: a SQLite file is opened in a thread of its own. Others do so for files
   * on a network file system only.
   */
  readonly background?: boolean;
  /** Make nothing where there is no store yet, neither file nor tables: the first call rejects with a {@linkcode NoStoreError}. */
  readonly existing?: boolean;
  /** Take tables whose counters were emptied for what they are: the administrator adopts or restores. */
  readonly repair?: boolean;
  /** For the program that holds this host's replica (`dqlite:`): its own way to the nodes. Others go by the replica's door. */
  readonly way?: Way;
  /** For this host's commands: the state directory of the agent that holds the store (`dqlite:`). */
  readonly stateDir?: string;
  /** For the same as `way`: how members tell each other of changes. Without, everybody looks for them. */
  readonly notices?: Notices;
}

/**
 * Opens a store. Nothing is connected before the first call.
 *
 * @throws {KnetError} exit code 2 if the URL is of no known kind.
 */
export async function openStore(url: string, options: StoreOptions = {}): Promise<Store> {
  const way = await wayOfAgent(url, options);
  if (way === undefined) return sqlStore(await openEngine(url, options));
  const { remoteStore } = await import("./remote/remote_store.ts");
  return remoteStore(way, options.deadlineMs);
}

/**
 * Opens a store for what the administrator does to it as a whole.
 *
 * @throws {KnetError} exit code 2 if the URL is of no known kind.
 */
export async function openStoreAdmin(
  url: string,
  options: StoreOptions = {},
): Promise<StoreAdmin> {
  const way = await wayOfAgent(url, options);
  if (way !== undefined) {
    const { remoteAdmin } = await import("./remote/remote_store.ts");
    return remoteAdmin(way, options.deadlineMs);
  }
  const { storeAdmin } = await import("./admin.ts");
  return storeAdmin(await openEngine(url, options));
}

/** The way by this host's agent, to a store that it holds. */
async function wayOfAgent(
  url: string,
  { stateDir, way }: StoreOptions,
): Promise<RemoteWay | undefined> {
  const directory = dqliteDirectory(url);
  if (directory === undefined || stateDir === undefined || way !== undefined) return undefined;
  const { wayByAgent } = await import("./remote/agent_way.ts");
  return wayByAgent(stateDir, `dqlite:${directory}`);
}

/**
 * Opens the part of a store by which hosts are let into the cluster.
 *
 * @throws {KnetError} exit code 2 if the URL is of no known kind.
 */
export async function openStoreAuthority(
  url: string,
  options: StoreOptions = {},
): Promise<StoreAuthority> {
  const { storeAuthority } = await import("./authority.ts");
  return storeAuthority(await openEngine(url, options));
}

/**
 * Opens a store's engine, which a server of the store's own interface stands on.
 *
 * @throws {KnetError} exit code 2 if the URL is of no known kind.
 */
export async function openEngine(url: string, options: StoreOptions = {}): Promise<Engine> {
  const { deadlineMs: deadline = 5000, existing = false, repair = false } = options;
  const path = sqlitePath(url);
  if (path !== undefined) {
    if (path === "") {
      throw new KnetError(`Cannot open the store "${url}": it names no file`, {
        exitCode: 2,
        remedy: "Write sqlite:/var/lib/knet/knet.db",
      });
    }
    const { sqliteEngine } = await import("./sqlite.ts");
    return sqliteEngine(path, deadline, options.background ?? false, existing, repair);
  }
  if (/^postgres(ql)?:\/\//.test(url)) {
    const { postgresEngine } = await import("./postgres.ts");
    return postgresEngine(url, deadline, existing, repair);
  }
  const directory = dqliteDirectory(url);
  if (directory !== undefined) {
    const { dqliteEngine } = await import("./dqlite/engine.ts");
    const way = options.way ?? (await import("./dqlite/door.ts")).wayByDoor(directory);
    return dqliteEngine(way, deadline, existing, options.notices, repair);
  }
  throw new KnetError(
    `Cannot open the store "${redactUrl(url)}": it is neither dqlite:, sqlite: nor postgres:`,
    {
      exitCode: 2,
      remedy: "Write dqlite:, sqlite:/PATH/knet.db or postgres://USER@HOST/DATABASE",
    },
  );
}
