/**
 * One connection to a SQLite file, in the calling thread: the same code whether that is the program's own thread or a worker's.
 *
 * It never waits for a lock. Whoever calls tries again, and its thread is free meanwhile.
 *
 * @module
 */
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { KnetError, messageOf } from "../base/error.ts";
import type { Row, SqlValue } from "./engine.ts";
import { DEFAULT_STORE } from "./location.ts";
import { sqliteError } from "./sqlite_error.ts";

type Statement = ReturnType<DatabaseSync["prepare"]>;

/** An open database. */
export interface SqliteConnection {
  /**
   * Runs a statement, whose parameters are `$1`, `$2` and so on, each once and in this order.
   *
   * @throws {KnetError} SqliteBusyError if somebody else holds the lock.
   */
  run(sql: string, parameters: readonly SqlValue[]): Row[];
  close(): void;
}

// node:fs would cost more than everything else here together.
function isThere(path: string, what: "isFile" | "isDirectory"): boolean {
  try {
    return Deno.statSync(path)[what];
  } catch {
    return false;
  }
}

/**
 * Makes knet's own directory. Any other has to be there: it may be the mount point of something that is
 * not mounted, and a database of this host's own would be worse than none.
 */
function prepareDirectory(path: string): void {
  const directory = dirname(path);
  if (path === DEFAULT_STORE.slice("sqlite:".length)) {
    try {
      Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new KnetError(`Cannot make the directory "${directory}": ${messageOf(error)}`, {
        cause: error,
      });
    }
    return;
  }
  if (isThere(directory, "isDirectory")) return;
  throw new KnetError(`Cannot use the database "${path}": there is no directory "${directory}"`, {
    remedy: "Mount what the hosts share, or make the directory",
  });
}

/**
 * The text with nameless parameters. Values are bound to those by position: SQLite would look for each name among all others, and
 * Deno 2.4 binds named ones by their names only.
 *
 * @throws {RangeError} if parameters do not stand once each and in order.
 */
export function withPositions(sql: string): string {
  let count = 0;
  return sql.replace(/\$(\d+)/g, (name, number) => {
    if (Number(number) !== ++count) {
      throw new RangeError(`Cannot run "${sql}": ${name} is no ${count}`);
    }
    return "?";
  });
}

/** Rows as arrays, where this Deno can. */
function wantArrays(statement: Statement): void {
  (statement as { setReturnArrays?: (wanted: boolean) => void }).setReturnArrays?.(true);
}

/**
 * Opens a database file, and makes it if it is missing.
 *
 * @throws {KnetError} if that fails.
 */
export function openSqlite(path: string): SqliteConnection {
  let database: DatabaseSync;
  try {
    prepareDirectory(path);
    const fresh = !isThere(path, "isFile");
    database = new DatabaseSync(path);
    if (fresh) Deno.chmodSync(path, 0o600);
    database.exec("pragma busy_timeout = 0");
  } catch (error) {
    throw sqliteError(path, error);
  }
  const statements = new Map<string, Statement>();
  const prepare = (sql: string): Statement => {
    let prepared = statements.get(sql);
    if (prepared === undefined) {
      prepared = database.prepare(withPositions(sql));
      wantArrays(prepared);
      statements.set(sql, prepared);
    }
    return prepared;
  };
  return {
    run(sql, parameters) {
      try {
        const rows = prepare(sql).all(...parameters) as unknown[];
        return (Array.isArray(rows[0])
          ? rows
          : rows.map((row) => Object.values(row as object))) as Row[];
      } catch (error) {
        throw sqliteError(path, error);
      }
    },
    close() {
      statements.clear();
      database.close();
    },
  };
}
