/**
 * The store in a SQLite file. Always with a rollback journal: two mounts of one database in WAL mode lose rows without an error.
 *
 * @module
 */
import { dirname } from "node:path";
import { watchDirectory } from "../../ffi/inotify.ts";
import { monotonicClock, random, sleep, wallClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import type { Engine, Query, Row, SqlValue, SubscriptionState } from "./engine.ts";
import { checkReader, migrate } from "./migrate.ts";
import { liesOnNetwork } from "./network_file.ts";
import { ReplacedFileError, SqliteBusyError } from "./sqlite_error.ts";
import { openInThread, openInWorker, type SqliteThread } from "./sqlite_thread.ts";
import { Turns } from "./turns.ts";

const SLOW_POLL = 2000;

/** A newer knet may close the database to this one at any time. */
const GUARDS = "select (select value from knet_meta where name = 'oldest_reader'), " +
  "(select value from knet_meta where name = 'schema')";

/** Milliseconds between tries for a lock, as SQLite's own waiting has them at first: no lock is held for long. */
const TRIES = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 50, 75];
/** How long a lock that goes from hand to hand is waited for, milliseconds. */
const CROWD_PATIENCE = 60_000;
/** Milliseconds between looks whether it does. */
const LOOK = 500;

/**
 * A hundred that try every few milliseconds would take the processor from the one that has the lock. Chance is fair enough: of those
 * that wait for long each tries as often as any other.
 */
function pauseBefore(tries: number): number {
  const pause = TRIES[Math.min(tries, TRIES.length - 1)]!;
  return pause * (0.5 + random());
}

/**
 * What others do with the file: another text with every commit and every holder of the lock. It is asked without keeping this thread,
 * which a dead file server would; undefined if that cannot be told.
 */
async function traceOf(path: string, patience: number): Promise<string | undefined> {
  const look = async (): Promise<string | undefined> => {
    try {
      const { ino, size, mtime } = await Deno.stat(path);
      const journal = await Deno.stat(`${path}-journal`).then(({ ino }) => ino, () => 0);
      const { readSmallFile } = await import("../../ffi/file.ts");
      const { holdersOf } = await import("./lock_holders.ts");
      const holders = holdersOf(readSmallFile("/proc/locks") ?? "", ino ?? 0);
      return [size, mtime?.getTime(), journal, ...holders].join(" ");
    } catch {
      return undefined;
    }
  };
  return await Promise.race([look(), sleep(patience).then(() => undefined)]);
}

/** Another text after every commit, and for every other file, but for two commits within some milliseconds. */
async function fileStateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtime } = await Deno.stat(path);
    return [dev, ino, size, mtime?.getTime()].join(" ");
  } catch {
    return "gone";
  }
}

/**
 * Opens a database file.
 *
 * @param path The file; its directory is what hosts share.
 * @param deadline Milliseconds that one call may take.
 * @param background True keeps this thread free whatever the file system does, at the price of a worker.
 * @param existing Makes neither file nor tables.
 * @param repair Takes tables whose counters were emptied for what they are.
 */
export function sqliteEngine(
  path: string,
  deadline: number,
  background: boolean,
  existing = false,
  repair = false,
): Engine {
  let connection: SqliteThread | undefined;
  // What was there once is never made anew: it has been taken away, and may come back.
  let onlyExisting = existing;
  const turns = new Turns(`database "${path}"`);
  /** How subscribers hear of changes, for each of them. */
  const subscribers = new Map<Parameters<Engine["subscribe"]>[1], [SubscriptionState, string]>();
  let replaced = false;
  // Before the deadline of the call itself, so that a held lock is told from a dead file server.
  const patience = deadline * 0.8;

  /** Runs a statement; a lock that others take and release is progress, and waited for. */
  const run = async (
    held: SqliteThread,
    sql: string,
    parameters: readonly SqlValue[] = [],
  ): Promise<Row[]> => {
    const begin = monotonicClock();
    let nextLook = begin + LOOK;
    let trace: string | undefined;
    // Looks, not seconds: on a machine that is too busy for this process it is too busy for the holder as well.
    let idle = 0;
    for (let tries = 0;; tries++) {
      try {
        return await held.run(sql, parameters);
      } catch (error) {
        if (!(error instanceof SqliteBusyError)) throw error;
        turns.check();
        const waited = monotonicClock() - begin;
        if (idle * LOOK >= patience || waited > CROWD_PATIENCE) throw error;
        if (monotonicClock() >= nextLook) {
          const seen = await traceOf(path, patience / 2);
          nextLook = monotonicClock() + LOOK;
          const moves = seen !== undefined && trace !== undefined && seen !== trace;
          idle = moves ? 0 : idle + 1;
          trace = seen ?? trace;
        }
        await sleep(pauseBefore(tries));
      }
    }
  };

  const connect = async (): Promise<SqliteThread> => {
    if (connection !== undefined && !connection.dead) return connection;
    connection?.end();
    const made = background || liesOnNetwork(path)
      ? await openInWorker(path, deadline, onlyExisting)
      : await openInThread(path, onlyExisting);
    try {
      await migrate({
        query: (sql, parameters) => run(made, sql, parameters),
        name: `database "${path}"`,
        repair,
        ...(onlyExisting && { existingAt: path }),
        hasTable: async (table) =>
          (await run(made, "select name from sqlite_master where name = $1", [table])).length > 0,
        locked: (work) => between(made, "begin immediate", work),
      });
      turns.check();
    } catch (error) {
      made.end();
      throw error;
    }
    connection = made;
    onlyExisting = true;
    return made;
  };

  const between = async <T>(
    held: SqliteThread,
    begin: string,
    work: () => Promise<T>,
  ): Promise<T> => {
    await run(held, begin);
    try {
      const result = await work();
      await run(held, "commit");
      return result;
    } catch (error) {
      if (!held.dead) await run(held, "rollback").catch(() => {});
      throw error;
    }
  };

  /** One transaction at a time on the connection, from begin to commit. */
  const transaction = <T>(
    begin: string,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> =>
    turns.take(async () => {
      const query = (held: SqliteThread): Query => (sql, parameters) => run(held, sql, parameters);
      const attempt = async () => {
        const held = await connect();
        return await between(held, begin, async () => {
          const [row] = await run(held, GUARDS);
          const [oldestReader, schema] = [Number(row?.[0] ?? 0), Number(row?.[1] ?? 0)];
          checkReader({ oldestReader, schema }, `database "${path}"`);
          return await work(query(held), wallClock());
        });
      };
      const result = await attempt().catch(async (error) => {
        if (!(error instanceof ReplacedFileError)) throw error;
        connection?.end();
        connection = undefined;
        // Another file may hold other rows under the same numbers: whoever keeps a copy is to compare.
        replaced = true;
        for (const onState of subscribers.keys()) onState("away", `another file is at ${path}`);
        return await attempt();
      });
      if (replaced) {
        replaced = false;
        for (const [onState, state] of subscribers) onState(...state);
      }
      return result;
    });

  return {
    engine: "sqlite",
    location: `sqlite:${path}`,
    hostClock: true,
    write: (work) => transaction("begin immediate", work),
    read: (work) => transaction("begin", work),
    announce: () => Promise.resolve(), // The commit itself is seen in the directory.
    subscribe(onChange, onState) {
      // Where the kernel tells of what this host does alone, and attributes are old, only a transaction shows what is there.
      let seen: string | undefined;
      const look = liesOnNetwork(path) ? onChange : async () => {
        const found = await fileStateOf(path);
        if (found !== seen && seen !== undefined && subscribers.has(onState)) onChange();
        seen = found;
      };
      const timer = setInterval(look, SLOW_POLL);
      let watch: Disposable | undefined;
      let state: [SubscriptionState, string];
      try {
        // A commit ends with the journal's removal; reading removes nothing.
        watch = watchDirectory(dirname(path), onChange);
        state = ["notify", `watching ${dirname(path)}`];
      } catch (error) {
        state = ["poll", `looking every ${SLOW_POLL / 1000} s: ${messageOf(error)}`];
      }
      subscribers.set(onState, state);
      onState(...state);
      return {
        [Symbol.dispose]() {
          subscribers.delete(onState);
          clearInterval(timer);
          watch?.[Symbol.dispose]();
        },
      };
    },
    integrity: () =>
      transaction("begin", async (query) => {
        const rows = await query("pragma integrity_check(20)");
        return rows.map(([word]) => `${word}`).filter((word) => word !== "ok")
          .map((word) => `The database "${path}" is damaged: ${word}`);
      }),
    reset() {},
    async close() {
      await turns.end();
      connection?.end();
      connection = undefined;
    },
  };
}
