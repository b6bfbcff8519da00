/**
 * The cluster's own store on a host where no agent runs: held for as long as a command needs it.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { FileLock } from "../../ffi/file_lock.ts";
import { storedNodeId } from "../cluster/node_identity.ts";
import { filesIn } from "../store/dqlite/identity.ts";
import { dqliteDirectory } from "../store/location.ts";
import { HostBook } from "./host_book.ts";
import { type AgentsStore, openAgentsStore } from "./open_store.ts";
import { dataLock, stateLock } from "./preflight.ts";

/** Milliseconds that this host's replica has to run. */
const PATIENCE = 10_000;

/** Where the agent would be. */
export interface AgentPlace {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
}

/**
 * Holds the store in the agent's place; undefined where an agent runs, or this host has no replica, or the store is a database elsewhere.
 *
 * @throws {KnetError} why the replica does not run.
 */
export async function openWithoutAgent(place: AgentPlace): Promise<AgentsStore | undefined> {
  const { storeUrl, stateDir, dataDir } = place;
  const directory = dqliteDirectory(storeUrl);
  // Nor does a user see one who may not hold it.
  if (directory === undefined || !existsSync(filesIn(directory).node)) return undefined;
  const nodeId = storedNodeId(dataDir);
  if (nodeId === undefined) return undefined;
  await using stack = new AsyncDisposableStack();
  Deno.mkdirSync(stateDir, { recursive: true });
  for (const path of [stateLock(stateDir), dataLock(dataDir)]) {
    const lock = FileLock.acquire(path);
    if (lock === undefined) return undefined;
    stack.use(lock);
  }
  const hosts = new HostBook(() => []);
  const opened = await openAgentsStore({ ...place, nodeId, existing: true, hosts });
  stack.use(opened);
  await opened.held?.started(PATIENCE);
  const held = stack.move();
  return { ...opened, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
