/**
 * A host that joins by a token: what `knet join` and `knet up` do with it.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import type { Settings } from "./settings.ts";
import { cliLogger } from "./log.ts";
import { DEFAULT_DATA_DIR } from "./unit_settings.ts";

/** Milliseconds for which a cluster that has no time is asked: many may join at one moment. */
const BUSY = 180_000;

/** The store of a cluster whose agents hold it themselves, with this host's part in the data directory. */
export function ownStore({ dataDir }: Pick<Settings, "dataDir">): string {
  return dataDir === DEFAULT_DATA_DIR ? "dqlite:" : `dqlite:${dataDir}/dqlite`;
}

/** Who the host is to be, if that was said. */
export interface NamedNode {
  readonly node?: string | undefined;
  readonly "node-id"?: string | undefined;
}

/**
 * Makes this host a node of the token's cluster; one that is stays it.
 *
 * @returns the settings with that cluster's store.
 * @throws {UsageError} if another kind of store was named, or the word is no token. {@linkcode KnetError} if the token lets nobody in.
 */
export async function joinedByToken(
  word: string,
  given: NamedNode,
  settings: Settings,
  context: string,
): Promise<Settings> {
  const { looksLikeToken, parseToken } = await import("../core/port/token.ts");
  if (!looksLikeToken(word)) {
    throw new UsageError(
      `Cannot run "${context}": "${word}" is no token; one begins with "knet1."`,
      context,
    );
  }
  const { store, dataDir } = settings;
  if (store !== undefined && !store.url.startsWith("dqlite:")) {
    throw new UsageError(
      `Cannot run "${context}" with a token and ${store.source}: the token's cluster holds its store itself`,
      context,
    );
  }
  const token = parseToken(word);
  const { nodeIdentity } = await import("../core/cluster/node_identity.ts");
  const { joinByToken } = await import("../core/port/joining.ts");
  const { nodeId } = nodeIdentity({
    dataDir,
    ...(given.node !== undefined && { nodeName: given.node }),
    ...(given["node-id"] !== undefined && { nodeId: given["node-id"] }),
  });
  const left = await hasLeft(dataDir, store?.url ?? ownStore(settings));
  const joined = await joinByToken(token, { nodeId, dataDir, left, busy: BUSY });
  if (joined.state === "unheard") {
    cliLogger().warn("Goes on with what this host knows of the cluster: {why}", {
      why: joined.why,
    });
  }
  const url = store?.url ?? ownStore(settings);
  if (joined.state === "again") {
    const { dqliteDirectory } = await import("../core/store/location.ts");
    const { giveUpOld } = await import("../core/store/dqlite/recover.ts");
    cliLogger().info("The cluster had let this host out: it gets a new copy of the store");
    giveUpOld(dqliteDirectory(url)!);
  }
  return { ...settings, store: store ?? { url: ownStore(settings), source: "the token" } };
}

/** Whether this host is in no cluster, or not any more: it has no lease there, and no copy of the store. */
export async function hasLeft(dataDir: string, url: string): Promise<boolean> {
  const { readRecordedStore } = await import("../core/store/recorded_store.ts");
  if (readRecordedStore(dataDir).state !== "none") return false;
  const { dqliteDirectory } = await import("../core/store/location.ts");
  try {
    Deno.statSync(dqliteDirectory(url) ?? dataDir);
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}
