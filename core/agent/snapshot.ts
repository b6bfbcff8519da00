/**
 * The last good view of the store, kept in the data directory: an agent that starts while the store is away programs the kernel
 * from it, so that a reboot with the database down still gives a network.
 *
 * @module
 */
import { join } from "node:path";
import type { ClusterConfig } from "../cluster.ts";
import { messageOf } from "../error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../files.ts";
import type { Lease } from "../lease.ts";

/** What is kept. */
export interface Snapshot {
  readonly version: 1;
  readonly config: ClusterConfig;
  /** This host's lease. */
  readonly own: Lease;
  readonly peers: readonly Lease[];
}

const pathIn = (dataDir: string) => join(dataDir, "snapshot.json");

/** Reads the snapshot; undefined if there is none or it makes no sense. */
export function readSnapshot(
  dataDir: string,
  nodeId: string,
  warn: (sentence: string) => void,
): Snapshot | undefined {
  const text = readTextIfPresent(pathIn(dataDir));
  if (text === undefined) return undefined;
  try {
    const snapshot = JSON.parse(text) as Snapshot;
    if (snapshot.version !== 1) throw new TypeError(`unknown version ${snapshot.version}`);
    if (snapshot.own.nodeId !== nodeId) throw new TypeError("it is another node's");
    if (snapshot.config?.backend === undefined) throw new TypeError("it has no configuration");
    if (!Array.isArray(snapshot.peers)) throw new TypeError("it has no peers");
    return snapshot;
  } catch (error) {
    warn(`Cannot use "${pathIn(dataDir)}": ${messageOf(error)}`);
    return undefined;
  }
}

/** Keeps a snapshot. */
export function writeSnapshot(dataDir: string, snapshot: Snapshot): void {
  writeFileAtomically(pathIn(dataDir), JSON.stringify(snapshot), 0o600, 0o700);
}

/** Forgets it, after `knet leave`. */
export function removeSnapshot(dataDir: string): void {
  removeIfPresent(pathIn(dataDir));
}
