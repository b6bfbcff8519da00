/**
 * A cluster out of one host's copy, when a majority of the copies is lost for good; and how the others that are left give theirs up for it.
 *
 * The node gets another id, and thus another address, than the lost ones know: should they come back, and be a majority of their own, they
 * neither reach it nor count it. Whatever kills a recovery in between, the next one finishes it: `node.json` says how far it came, and
 * nothing that was there is changed before its successor is whole. The library works on a copy.
 *
 * @module
 */
import { join } from "node:path";
import { recoverDqlite } from "../../../ffi/dqlite.ts";
import { FileLock, holder } from "../../../ffi/file_lock.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import {
  addressOf,
  filesIn,
  nameOf,
  newNodeId,
  type NodeIdentity,
  readIdentity,
  readMembersFile,
  type Recovery,
  writeIdentity,
  writeMembersFile,
} from "./identity.ts";
import type { Member } from "./wire.ts";

/** What of a node's directory is no data: where the library listens, and what was tried. */
const NO_DATA = new Set(["socket", "trial"]);

/** How a copy is recovered. */
export interface RecoveryWish {
  readonly directory: string;
  /** Hosts (node ids) that are believed no more. */
  readonly dropped: readonly string[];
  /** Seconds since 1970. */
  readonly now: number;
  /** Told before each step: tests end it there. */
  readonly onStep?: (step: string) => void;
}

/**
 * Makes the copy of a member that does not run a cluster of one. The next start of the replica has `recovery`, which the store is to accept
 * before anybody is served.
 *
 * @throws {KnetError} exit code 4 if an agent runs it, or there is no copy; if there is no room, and then all is as it was.
 */
export function recoverReplica(
  { directory, dropped, now, onStep = () => {} }: RecoveryWish,
): Recovery {
  const about = `Cannot recover the store of ${directory}`;
  const files = filesIn(directory);
  const identity = readIdentity(directory);
  if (identity?.member !== true) {
    throw new KnetError(`${about}: this host has never had a copy of it`, {
      exitCode: 4,
      remedy: "Run it on a host that has one; knet store info on the others names them",
    });
  }
  using lock = FileLock.acquire(files.lock) ?? null;
  if (lock === null) {
    const process = holder(files.lock);
    throw new KnetError(
      `${about}: the agent runs${process === undefined ? "" : ` (process ${process})`}`,
      { exitCode: 4, remedy: "Stop it first: systemctl stop knet" },
    );
  }
  const begun = identity.recovery;
  if (begun?.stage === "accept") return begun;
  const generation = begun?.generation ?? Math.max(now, (identity.generation ?? 0) + 1);
  const recovery: Recovery = {
    ...{ stage: "copy", id: begun?.id ?? newNodeId(), generation, dropped },
  };
  onStep("mark");
  if (begun?.stage !== "copy") remove(files.before);
  writeIdentity(directory, { ...identity, recovery });
  const address = addressOf(nameOf(identity.address), recovery.id);
  if (!isThere(files.before)) {
    try {
      remove(files.recovering);
      onStep("copy");
      copyData(files.data, files.recovering);
      onStep("recover");
      recoverDqlite({ id: recovery.id, address, directory: files.recovering });
      syncFiles(files.recovering);
    } catch (error) {
      if (error instanceof Interruption) throw error;
      remove(files.recovering);
      const { recovery: _, ...before } = identity;
      writeIdentity(directory, before);
      throw new KnetError(`${about}: ${messageOf(error)}`, {
        cause: error,
        remedy: "Nothing was changed. See that its file system has room and may be written",
      });
    }
    onStep("aside");
    Deno.renameSync(files.data, files.before);
  }
  onStep("in place");
  // An agent that was started in between has made an empty one, over which it goes.
  if (isThere(files.recovering)) Deno.renameSync(files.recovering, files.data);
  onStep("members");
  writeMembersFile(directory, [{ id: recovery.id, address, role: "voter" }]);
  onStep("identity");
  const accepting = { ...recovery, stage: "accept" as const };
  writeIdentity(directory, {
    ...{ id: recovery.id, address, member: true, generation, recovery: accepting },
  });
  syncFolder(directory);
  return accepting;
}

/** A step that a test ended: what a process that is killed leaves. */
export class Interruption extends Error {}

/**
 * Decides that a copy is given up: its cluster was recovered from another host's. The next start makes it a new node.
 *
 * @param members Of the cluster that was recovered.
 */
export function giveUp(
  directory: string,
  identity: NodeIdentity,
  members: readonly Member[],
): void {
  writeMembersFile(directory, members);
  const again: Recovery = { stage: "again", id: newNodeId(), generation: 0, dropped: [] };
  writeIdentity(directory, { ...identity, recovery: again });
}

/** The same for a host that the cluster had let out and takes as a new one. Who has no copy has nothing to give up. */
export function giveUpOld(directory: string): void {
  const identity = readIdentity(directory);
  if (identity?.member === true) giveUp(directory, identity, readMembersFile(directory));
}

/** Puts a copy that was given up aside, and makes the node a new one; one that was not stays. */
export function finishGivingUp(
  directory: string,
  identity: NodeIdentity | undefined,
): NodeIdentity | undefined {
  if (identity?.recovery?.stage !== "again") return identity;
  const { data, before } = filesIn(directory);
  const { id } = identity.recovery;
  if ([...Deno.readDirSync(data)].length > 0) {
    remove(before);
    Deno.renameSync(data, before);
  }
  Deno.mkdirSync(data, { recursive: true, mode: 0o700 });
  const made = { id, address: addressOf(nameOf(identity.address), id), member: false };
  writeIdentity(directory, made);
  return made;
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function remove(path: string): void {
  if (isThere(path)) Deno.removeSync(path, { recursive: true });
}

function copyData(from: string, to: string): void {
  Deno.mkdirSync(to, { mode: 0o700 });
  for (const { name, isFile } of Deno.readDirSync(from)) {
    if (isFile && !NO_DATA.has(name)) Deno.copyFileSync(join(from, name), join(to, name));
  }
}

function syncFiles(folder: string): void {
  for (const { name, isFile } of Deno.readDirSync(folder)) {
    if (!isFile) continue;
    using file = Deno.openSync(join(folder, name), { read: true });
    file.syncSync();
  }
  syncFolder(folder);
}

function syncFolder(folder: string): void {
  using file = Deno.openSync(folder, { read: true });
  file.syncSync();
}
