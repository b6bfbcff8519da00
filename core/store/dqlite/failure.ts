/**
 * What dqlite's errors mean for whoever asked. Pure.
 *
 * @module
 */
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import { droppedTable } from "../emptied.ts";

/** A node answered with an error. */
export class DqliteFailure extends Error {
  /** Always "DqliteFailure". */
  override readonly name = "DqliteFailure";

  /** @param code SQLite's (extended) result code, or one of libraft's. */
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** A connection ended, or an answer did not come. What the work itself finds away is another matter: it is not done again. */
export class GoneError extends Error {
  /** Always "GoneError". */
  override readonly name = "GoneError";
}

/**
 * - `busy`: another transaction writes, or the database is being tidied; the same statement may be tried again;
 * - `elsewhere`: the node does not lead, or not any more;
 * - `away`: it does not answer, or cannot now;
 * - `refused`: the statement is at fault.
 */
export type DqliteTrouble = "busy" | "elsewhere" | "away" | "refused";

// Result codes of sqlite3.h, and two extended ones that dqlite makes of SQLITE_IOERR.
const SQLITE_ABORT = 4;
const SQLITE_BUSY = 5;
const SQLITE_NOMEM = 7;
const SQLITE_IOERR = 10;
const SQLITE_NOTFOUND = 12;
const SQLITE_FULL = 13;
const SQLITE_IOERR_WRITE = SQLITE_IOERR | 3 << 8;
const SQLITE_IOERR_NOT_LEADER = SQLITE_IOERR | 40 << 8;
const SQLITE_IOERR_LEADERSHIP_LOST = SQLITE_IOERR | 41 << 8;

/** Sorts an error. */
export function troubleOf(error: unknown): DqliteTrouble {
  if (error instanceof KnetError) return "refused";
  // What cannot even be sent.
  if (error instanceof TypeError || error instanceof RangeError) return "refused";
  // No word of a node's: the connection ended, or never came to be.
  if (!(error instanceof DqliteFailure)) return "away";
  const { code, message } = error;
  // A code of libraft's, for which SQLite has no words. That the node does not lead is the one that happens.
  if (message === "not an error") return "elsewhere";
  if (code === SQLITE_IOERR_NOT_LEADER || code === SQLITE_IOERR_LEADERSHIP_LOST) return "elsewhere";
  // The library closes the databases of all connections when it stops to lead.
  if (code === SQLITE_NOTFOUND && message === "no database opened") return "elsewhere";
  switch (code & 0xff) {
    case SQLITE_BUSY:
      return "busy";
    case SQLITE_ABORT:
    case SQLITE_NOMEM:
    case SQLITE_IOERR:
    case SQLITE_FULL:
      return "away";
    default:
      return message === "barrier error" ? "elsewhere" : "refused";
  }
}

/** The error as people are told. */
export function dqliteError(location: string, error: unknown): KnetError {
  if (error instanceof KnetError) return error;
  const about = `Cannot use the store ${location}`;
  if (error instanceof DqliteFailure) {
    if (error.code === SQLITE_IOERR_WRITE || (error.code & 0xff) === SQLITE_FULL) {
      return new StoreAwayError(`${about}: the leader cannot write its copy (${error.message})`, {
        cause: error,
        remedy: "Make room on the file system of /var/lib/knet on the hosts that hold copies",
      });
    }
    if (troubleOf(error) === "busy") {
      return new StoreAwayError(`${about}: other hosts write all the time`, {
        cause: error,
        remedy:
          "Try again; if it stays so, look for a knet that was stopped in the middle of a change",
      });
    }
  }
  if (troubleOf(error) === "refused") {
    return droppedTable(`store ${location}`, messageOf(error)) ??
      new KnetError(`${about}: ${messageOf(error)}`, { cause: error });
  }
  return new StoreAwayError(`${about}: ${messageOf(error)}`, {
    cause: error,
    remedy:
      "Look at knet store info on this host, and see that a majority of the hosts that hold copies run",
  });
}
