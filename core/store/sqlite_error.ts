/**
 * What SQLite's result codes mean for the administrator, and how errors travel between threads.
 *
 * @module
 */
import { type ExitCode, KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import { droppedTable, EmptiedStoreError } from "./emptied.ts";
import { NoStoreError } from "./location.ts";

// Primary result codes of sqlite3.h.
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** Somebody else holds the database's lock: the statement may be tried again. */
export class SqliteBusyError extends StoreAwayError {
  /** An error about the database at `path`. */
  constructor(path: string) {
    super(`Cannot use the database "${path}": another process holds its lock`, {
      remedy: "Wait, or find the process that keeps the database open",
    });
  }
}

/** The file that is open is not the one at its path any more: it was deleted, or another one was put in its place. */
export class ReplacedFileError extends StoreAwayError {
  /** An error about the database at `path`. */
  constructor(path: string) {
    super(`Cannot use the database "${path}": the file was replaced or deleted`);
  }
}

/** What a statement or the opening of the database at `path` threw, as one of knet's errors. */
export function sqliteError(path: string, error: unknown): KnetError {
  if (error instanceof KnetError) return error;
  const message = messageOf(error);
  const about = `Cannot use the database "${path}"`;
  const code = Number((error as { readonly errcode?: unknown }).errcode ?? 0);
  // Deno 2.4 gives the words alone for some statements.
  if (code === 0 && message === "database is locked") return new SqliteBusyError(path);
  // The opening of a file that cannot be opened has no code at all.
  const opening = message.startsWith("unable to open database file");
  switch (opening ? SQLITE_CANTOPEN : code & 0xff) {
    case SQLITE_BUSY:
      return new SqliteBusyError(path);
    case SQLITE_IOERR:
      return new StoreAwayError(`${about}: reading or writing it failed (${message})`);
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return new KnetError(`${about}: it is read-only`, {
        remedy: "Make the file and its directory writable for knet",
      });
    case SQLITE_CANTOPEN:
      return new KnetError(`${about}: it cannot be opened`, {
        remedy:
          "Check that it is no directory itself, and that its directory exists, is mounted, and may be written by this user",
      });
    case SQLITE_FULL:
      return new StoreAwayError(`${about}: the file system is full`, {
        remedy: "Make room on the file system that it lies on",
      });
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new KnetError(`${about}: it is damaged or no SQLite database (${message})`, {
        remedy: "Restore it from a copy, or move it away and run knet join on each host",
      });
    default:
      return droppedTable(`database "${path}"`, message) ?? new KnetError(`${about}: ${message}`);
  }
}

/** An error as a message between threads; a class would not survive the way. */
export interface PostedError {
  readonly kind: "busy" | "replaced" | "away" | "none" | "emptied" | "other";
  readonly message: string;
  readonly remedy: string | undefined;
  readonly exitCode: ExitCode;
}

/** An error for the way. */
export function postError(error: KnetError): PostedError {
  const { message, remedy, exitCode } = error;
  const kind = error instanceof SqliteBusyError
    ? "busy"
    : error instanceof ReplacedFileError
    ? "replaced"
    : error instanceof StoreAwayError
    ? "away"
    : error instanceof NoStoreError
    ? "none"
    : error instanceof EmptiedStoreError
    ? "emptied"
    : "other";
  return { kind, message, remedy, exitCode };
}

/** The error that was posted. */
export function receiveError(path: string, posted: PostedError): KnetError {
  const { kind, message, remedy, exitCode } = posted;
  if (kind === "busy") return new SqliteBusyError(path);
  if (kind === "replaced") return new ReplacedFileError(path);
  if (kind === "none") return new NoStoreError(path);
  if (kind === "emptied") return Object.assign(new EmptiedStoreError(), { message });
  const options = { exitCode, ...(remedy !== undefined && { remedy }) };
  return kind === "away" ? new StoreAwayError(message, options) : new KnetError(message, options);
}
