/**
 * The store in a SQLite file. Always with a rollback journal: two mounts of one database in WAL mode lose rows without an error.
 *
 * @module
 */
import { dirname } from "node:path";
import { watchDirectory } from "../../ffi/inotify.ts";
import { wallClock } from "../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import type { Engine, Query, Row, SqlValue } from "./engine.ts";
import { DEFAULT_STORE } from "./location.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "./schema.ts";
import type { SqliteAnswer, SqliteRequest } from "./sqlite_worker.ts";

const SLOW_POLL = 2000;

// Primary result codes of sqlite3.h.
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** Turns SQLite's result code into what the administrator can use. */
function sqliteError(path: string, code: number, message: string): KnetError {
  const about = `Cannot use the database "${path}"`;
  switch (code & 0xff) {
    case SQLITE_BUSY:
      return new StoreAwayError(`${about}: another process holds its lock`, {
        remedy: "Wait, or find the process that keeps the database open",
      });
    case SQLITE_IOERR:
      return new StoreAwayError(`${about}: reading or writing it failed (${message})`);
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return new KnetError(`${about}: it is read-only`, {
        remedy: "Make the file and its directory writable for knet",
      });
    case SQLITE_CANTOPEN:
      return new KnetError(`${about}: it cannot be opened`, {
        remedy: "Check that the directory exists, is mounted, and belongs to the user",
      });
    case SQLITE_FULL:
      return new StoreAwayError(`${about}: the file system is full`);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new KnetError(`${about}: it is damaged or no SQLite database (${message})`, {
        remedy: "Restore it from a copy, or move it away and run knet join on each host",
      });
    default:
      return new KnetError(`${about}: ${message}`);
  }
}

class Connection {
  readonly #worker: Worker;
  readonly #path: string;
  readonly #waiting = new Map<number, (answer: SqliteAnswer) => void>();
  #id = 0;
  /** A call that did not come back: the thread hangs in the file system, and the connection is of no use. */
  dead = false;

  constructor(path: string) {
    this.#path = path;
    this.#worker = new Worker(new URL("./sqlite_worker.ts", import.meta.url).href, {
      type: "module",
    });
    this.#worker.onmessage = (event: MessageEvent<SqliteAnswer>) => {
      this.#waiting.get(event.data.id)?.(event.data);
      this.#waiting.delete(event.data.id);
    };
  }

  async call(request: SqliteCall, deadline: number): Promise<Row[]> {
    const id = ++this.#id;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answer = await new Promise<SqliteAnswer | undefined>((resolve) => {
      this.#waiting.set(id, resolve);
      timer = setTimeout(() => resolve(undefined), deadline);
      this.#worker.postMessage({ ...request, id } as SqliteRequest);
    });
    clearTimeout(timer);
    if (answer === undefined) {
      this.dead = true;
      throw new StoreAwayError(`Cannot use the database "${this.#path}": it does not answer`, {
        remedy: "Check the file system that it lies on",
      });
    }
    if (answer.error !== undefined) {
      throw sqliteError(this.#path, answer.error.code, answer.error.message);
    }
    return answer.rows ?? [];
  }

  end(): void {
    this.dead = true;
    this.#worker.terminate();
  }
}

type SqliteCall = SqliteRequest extends infer R ? R extends unknown ? Omit<R, "id"> : never : never;

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
  if (isDirectory(directory)) return;
  throw new KnetError(`Cannot use the database "${path}": there is no directory "${directory}"`, {
    remedy: "Mount what the hosts share, or make the directory",
  });
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Opens a database file.
 *
 * @param path The file; its directory is what hosts share.
 * @param deadline Milliseconds that one call may take.
 */
export function sqliteEngine(path: string, deadline: number): Engine {
  let connection: Connection | undefined;
  let queue: Promise<unknown> = Promise.resolve();
  // Before the deadline of the call itself, so that a held lock is told from a dead file server.
  const busyTimeout = Math.round(deadline * 0.8);

  const connect = async (): Promise<Connection> => {
    if (connection !== undefined && !connection.dead) return connection;
    connection?.end();
    prepareDirectory(path);
    const made = new Connection(path);
    try {
      await made.call({ open: path, busyTimeout }, deadline);
      const [mode] = await made.call({ sql: "pragma journal_mode", parameters: [] }, deadline);
      if (mode?.journal_mode === "wal") {
        throw new KnetError(
          `Cannot use the database "${path}": it is in WAL mode, which loses rows when hosts share it`,
          {
            exitCode: 4,
            remedy: `Stop all that uses it and run: sqlite3 ${path} 'pragma journal_mode=delete'`,
          },
        );
      }
      await migrate(made);
    } catch (error) {
      made.end();
      throw error;
    }
    connection = made;
    return made;
  };

  const migrate = async (made: Connection): Promise<void> => {
    const run = (sql: string) => made.call({ sql, parameters: [] }, deadline);
    const version = async () => {
      const [table] = await run("select name from sqlite_master where name = 'knet_meta'");
      if (table === undefined) return 0;
      const rows = await run(
        "select name, value from knet_meta where name in ('schema', 'oldest_reader')",
      );
      const value = (name: string) => Number(rows.find((row) => row.name === name)?.value ?? 0);
      if (value("oldest_reader") > SCHEMA_VERSION) {
        throw new KnetError(
          `Cannot use the database "${path}": its schema ${
            value("schema")
          } is too new for this knet, which knows ${SCHEMA_VERSION}`,
          {
            exitCode: 4,
            remedy: "Install a newer knet on this host",
          },
        );
      }
      return value("schema");
    };
    if (await version() >= SCHEMA_VERSION) return;
    await run("begin immediate");
    try {
      for (let next = await version(); next < SCHEMA_VERSION; next++) {
        for (const sql of MIGRATIONS[next]!) await run(sql);
      }
      await run("commit");
    } catch (error) {
      await run("rollback").catch(() => {});
      throw error;
    }
  };

  /** One transaction at a time on the connection, from begin to commit. */
  const transaction = <T>(
    begin: string,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    const turn = queue.then(async () => {
      const held = await connect();
      const query: Query = (sql, parameters: readonly SqlValue[] = []) =>
        held.call({ sql, parameters }, deadline);
      await query(begin);
      try {
        const result = await work(query, wallClock());
        await query("commit");
        return result;
      } catch (error) {
        if (!held.dead) await query("rollback").catch(() => {});
        throw error;
      }
    });
    queue = turn.catch(() => {});
    return turn;
  };

  return {
    engine: "sqlite",
    location: `sqlite:${path}`,
    hostClock: true,
    write: (work) => transaction("begin immediate", work),
    read: (work) => transaction("begin", work),
    announce: () => Promise.resolve(), // The commit itself is seen in the directory.
    subscribe(onChange, onState) {
      const timer = setInterval(onChange, SLOW_POLL);
      let watch: Disposable | undefined;
      try {
        // A commit ends with the journal's removal; reading removes nothing.
        watch = watchDirectory(dirname(path), onChange);
        onState("notify", `watching ${dirname(path)}`);
      } catch (error) {
        onState("poll", `looking every ${SLOW_POLL / 1000} s: ${messageOf(error)}`);
      }
      return {
        [Symbol.dispose]() {
          clearInterval(timer);
          watch?.[Symbol.dispose]();
        },
      };
    },
    reset() {},
    async close() {
      await queue;
      connection?.end();
      connection = undefined;
    },
  };
}
