/**
 * What has to be there before a replica runs: its directory, the lock on it, and who it is.
 *
 * @module
 */
import { DqliteError } from "../../../ffi/dqlite.ts";
import { MissingLibraryError } from "../../../ffi/load.ts";
import { FileLock, holder } from "../../../ffi/file_lock.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { finishGivingUp } from "./recover.ts";
import {
  addressOf,
  filesIn,
  FIRST_ID,
  newNodeId,
  type NodeIdentity,
  readIdentity,
  writeIdentity,
} from "./identity.ts";

/** What is asked for. */
interface Wishes {
  readonly directory: string;
  readonly name: string;
  readonly begin?: boolean;
  readonly seeds?: readonly string[];
  readonly join?: unknown;
}

/**
 * Makes the directory, takes the lock, and reads who the replica is, or decides it.
 *
 * @throws {KnetError} exit code 4 if another program has it, its data is gone, or there is neither a replica nor a cluster to join.
 */
export function prepareReplica(
  { directory, name, begin = false, seeds = [], join }: Wishes,
): { readonly identity: NodeIdentity; readonly lock: FileLock } {
  const about = `Cannot start the replica in ${directory}`;
  const files = filesIn(directory);
  try {
    for (const path of [directory, files.data]) {
      Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
      // Whoever could enter it could speak to the library, which asks nobody who he is.
      Deno.chmodSync(path, 0o700);
    }
  } catch (error) {
    throw new KnetError(`${about}: ${messageOf(error)}`, {
      cause: error,
      remedy: "See that the directory can be made and belongs to this user",
    });
  }
  const lock = FileLock.acquire(files.lock);
  if (lock === undefined) {
    const process = holder(files.lock);
    throw new KnetError(
      `${about}: ${process === undefined ? "another process" : `process ${process}`} runs it`,
      { exitCode: 4, remedy: "Stop that one first" },
    );
  }
  try {
    return { identity: identify(), lock };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }

  function identify(): NodeIdentity {
    const before = finishGivingUp(directory, readIdentity(directory));
    if (before?.recovery?.stage === "copy") {
      throw new KnetError(`${about}: a recovery was begun in it and not finished`, {
        exitCode: 4,
        remedy: "Stop the agent and run knet store recover again: it finishes it",
      });
    }
    const isEmpty = [...Deno.readDirSync(files.data)].length === 0;
    if (before?.member && isEmpty) {
      throw new KnetError(`${about}: its data is gone`, {
        exitCode: 4,
        remedy: `Remove ${directory} and let this host join the cluster again`,
      });
    }
    const matches = before === undefined || before.address === addressOf(name, before.id);
    if (before !== undefined && (before.member || matches)) {
      if (!matches) {
        throw new KnetError(`${about}: it is ${before.address}, and this host is called ${name}`, {
          exitCode: 4,
          remedy: `Give the host its name again, or remove ${directory} and let it join anew`,
        });
      }
      return before;
    }
    if (!isEmpty) {
      throw new KnetError(`${about}: there is data in it, and nothing says whose`, {
        exitCode: 4,
        remedy: `Move ${directory} away and let this host join the cluster again`,
      });
    }
    if (!begin && seeds.length === 0 && join === undefined) {
      throw new KnetError(`${about}: this host is no member of a cluster yet`, {
        exitCode: 4,
        remedy: "Run knet up with a token of the cluster",
      });
    }
    const id = begin ? FIRST_ID : newNodeId();
    const identity = { id, address: addressOf(name, id), member: false };
    writeIdentity(directory, identity);
    return identity;
  }
}

/** What kept a replica from starting, as people are told. */
export function explainStart(error: unknown, directory: string): unknown {
  const about = `Cannot start the replica in ${directory}`;
  if (error instanceof MissingLibraryError) {
    return new KnetError(`${about}: ${error.message}`, {
      exitCode: 3,
      remedy: error.remedy,
      cause: error,
    });
  }
  if (error instanceof DqliteError) {
    return new KnetError(`${about}: ${error.message}`, {
      cause: error,
      remedy:
        "See that its file system has room and may be written; if the files are damaged, move the directory away and let this host join again",
    });
  }
  return error;
}
