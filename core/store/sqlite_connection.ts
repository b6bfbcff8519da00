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
import { DEFAULT_STORE, NoStoreError } from "./location.ts";
import { ReplacedFileError, sqliteError } from "./sqlite_error.ts";

type Statement = ReturnType<DatabaseSync["prepare"]>;

/** An open database. */
export interface SqliteConnection {
  /**
   * Runs a statement, whose parameters are `$1`, `$2` and so on, each once and in this order.
   *
   * @throws {KnetError} SqliteBusyError if somebody else holds the lock. ReplacedFileError at the beginning of a transaction, if the
   * file at the path is another one now; exit code 4 if somebody has switched it to WAL mode.
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

/** Which file is at a path: device and inode; empty if there is none. */
function fileAt(path: string): string {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return "";
    }
    throw error;
  }
}

/** Takes what is in a database's write-ahead log into its file, and the log away. Nobody else has it open. */
export function endWal(path: string): void {
  using database = new DatabaseSync(path);
  database.exec("pragma journal_mode = delete");
}

/** The database is in a mode that loses rows. */
function walError(path: string): KnetError {
  return new KnetError(
    `Cannot use the database "${path}": it is in WAL mode, which loses rows when hosts share it`,
    {
      exitCode: 4,
      remedy: `Stop all that uses it and run: sqlite3 ${path} 'pragma journal_mode=delete'`,
    },
  );
}

/** Whether there is no such file; false if that cannot be told. */
function isMissing(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
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

/**
 * All rows. A whole number beyond 2^53, which somebody has put there, is an error to this Deno that would hide all other rows: it is
 * read as the nearest number that there is, which no rule of knet's lets pass.
 */
function readAll(statement: Statement, parameters: readonly SqlValue[]): unknown[] {
  try {
    return statement.all(...parameters);
  } catch (error) {
    if (!(error instanceof RangeError) || !/ BigInt|too large/.test(error.message)) throw error;
  }
  statement.setReadBigInts(true);
  try {
    const near = (value: unknown) => typeof value === "bigint" ? Number(value) : value;
    return (statement.all(...parameters) as unknown[]).map((row) =>
      Array.isArray(row) ? row.map(near) : Object.fromEntries(
        Object.entries(row as object).map(([name, held]) => [name, near(held)]),
      )
    );
  } finally {
    statement.setReadBigInts(false);
  }
}

/** Rows up to which objects are as good as anything. */
const FEW = 100;

/**
 * Reads rows as arrays where this Deno makes objects of them only (2.4 does): few as such, many as one JSON text, which takes a
 * fifth of the time. Which it is shows when there are more than a few.
 */
export function readAsArrays(
  prepare: (sql: string) => Statement,
  sql: string,
  parameters: readonly SqlValue[],
): Row[] {
  const read = (text: string) =>
    readAll(prepare(text), parameters).map((row) => Object.values(row as object) as SqlValue[]);
  // What writes must not run twice; and an aggregate promises no order.
  if (!sql.startsWith("select ") || / (?:order by|limit) /.test(sql)) return read(sql);
  const rows = read(`${sql} limit ${FEW + 1}`);
  if (rows.length <= FEW) return rows;
  const columns = rows[0]!.map((_, n) => `c${n}`).join(", ");
  const whole =
    `with r(${columns}) as (${sql}) select json_group_array(json_array(${columns})) from r`;
  try {
    return JSON.parse(Object.values(prepare(whole).get(...parameters)!)[0] as string);
  } catch (error) {
    // JSON holds no blobs, which somebody has put there.
    if (!/JSON/.test(messageOf(error))) throw error;
    return read(sql);
  }
}

/**
 * Prepares a statement. Where the schema has to be read first, somebody's lock may be in the way, and Deno 2.4 does not tell why a
 * statement cannot be prepared: reading the schema by itself does, and once it is read no lock is needed.
 */
function prepareOn(database: DatabaseSync, sql: string): Statement {
  for (let tries = 0;; tries++) {
    try {
      return database.prepare(sql);
    } catch (error) {
      if (tries === 3 || (error as { errcode?: unknown }).errcode !== undefined) throw error;
      database.exec("select 1 from sqlite_master limit 1");
    }
  }
}

/**
 * Opens a database file, and makes it if it is missing.
 *
 * @param existing Makes nothing.
 * @throws {KnetError} if that fails; NoStoreError if nothing may be made and there is no file.
 */
export function openSqlite(path: string, existing = false): SqliteConnection {
  let database: DatabaseSync;
  let file: string;
  try {
    if (!existing) prepareDirectory(path);
    else if (isMissing(path)) throw new NoStoreError(path);
    const fresh = !isThere(path, "isFile");
    database = new DatabaseSync(path);
    if (fresh) Deno.chmodSync(path, 0o600);
    file = fileAt(path);
    database.exec("pragma busy_timeout = 0");
  } catch (error) {
    throw sqliteError(path, error);
  }
  const statements = new Map<string, Statement>();
  const prepare = (sql: string): Statement => {
    let prepared = statements.get(sql);
    if (prepared === undefined) {
      prepared = prepareOn(database, withPositions(sql));
      (prepared as { setReturnArrays?: (wanted: boolean) => void }).setReturnArrays?.(true);
      statements.set(sql, prepared);
    }
    return prepared;
  };
  /** What may have changed since the last transaction. Whoever holds a deleted file would see nothing of it for ever. */
  const begin = () => {
    if (fileAt(path) !== file) throw new ReplacedFileError(path);
    const [mode] = readAll(prepare("pragma journal_mode"), []) as (unknown[] | object)[];
    if (Object.values(mode ?? {})[0] === "wal") throw walError(path);
  };
  return {
    run(sql, parameters) {
      try {
        if (sql.startsWith("begin")) begin();
        const statement = prepare(sql);
        if (!("setReturnArrays" in statement)) return readAsArrays(prepare, sql, parameters);
        return readAll(statement, parameters) as unknown as Row[];
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
