/**
 * The store in Postgres: one connection for transactions, one for notifications, both to the server that serves.
 *
 * @module
 */
import { after, monotonicClock, random, sleep, type Timer } from "../base/clock.ts";
import type { Engine, Query, ServerHistory } from "./engine.ts";
import { checkReader, migrate } from "./migrate.ts";
import type { PostgresConnection } from "./postgres_connection.ts";
import { isUndefinedTable, postgresError, troubleOf } from "./postgres_errors.ts";
import { PostgresListener } from "./postgres_listener.ts";
import { PostgresServers } from "./postgres_servers.ts";
import { describeTarget, parsePostgresUrl } from "./postgres_url.ts";
import { Turns } from "./turns.ts";

const CHANNEL = "knet";
/** Milliseconds after which a connection that nobody uses is closed. */
const IDLE = 10_000;
/** How long a call goes on trying while the server has no connection to spare. */
const CROWD_PATIENCE = 60_000;
// Any number that other programs on the same database are unlikely to lock by.
const MIGRATION_LOCK = 0x6b6e6574;

/** A reader found that the tables have to be made, which it cannot do. */
class NeedsMigration extends Error {}

/**
 * Opens a database.
 *
 * @param url See {@linkcode parsePostgresUrl}.
 * @param deadline Milliseconds that one call may take; the connection is destroyed after that.
 * @param existing Makes no tables.
 * @param repair Takes tables whose counters were emptied for what they are.
 */
export function postgresEngine(
  url: string,
  deadline: number,
  existing = false,
  repair = false,
): Engine {
  const target = parsePostgresUrl(url, (name) => Deno.env.get(name));
  const location = describeTarget(target);
  const channel = target.schema === undefined ? CHANNEL : `${CHANNEL}_${target.schema}`;
  const servers = new PostgresServers(target, location);
  const listeners = new Set<PostgresListener>();
  let connection: PostgresConnection | undefined;
  let idle: Timer | undefined;
  let migrated = false;
  // What was there once is never made anew: it has been taken away, and may come back.
  let onlyExisting = existing;
  const turns = new Turns(`database ${location}`);
  let history: ServerHistory | undefined;

  // Local to a transaction: a pooler may give the next one another session. A writer whose host vanished loses its locks with
  // its transaction; who waits for a lock gives up before its own host does, so that no session is left waiting.
  const settings = Object.entries({
    lock_timeout: Math.round(deadline * 0.8),
    statement_timeout: deadline,
    idle_in_transaction_session_timeout: deadline + 2000,
    ...(target.schema !== undefined && {
      search_path: `"${target.schema.replaceAll('"', '""')}"`,
    }),
  }).map(([name, value]) => `set local ${name} to ${value}`);
  const beginBy = (isolation: string) =>
    [`begin isolation level ${isolation}`, ...settings].join("; ");
  const BEGIN = { write: beginBy("read committed"), read: beginBy("repeatable read read only") };

  const drop = () => {
    idle?.cancel();
    connection?.[Symbol.dispose]();
    connection = undefined;
  };

  /** A connection with a transaction begun. One that was idle may have lost its server meanwhile: nothing is lost by trying anew. */
  const begun = async (write: boolean, until: number): Promise<PostgresConnection> => {
    idle?.cancel();
    for (;;) {
      const left = () => Math.max(until - monotonicClock(), 1);
      // It may have outlived a cut in which the server was replaced: the listener has seen the new one.
      if (connection !== undefined && servers.isOlder(connection)) drop();
      const old = connection !== undefined && !connection.dead ? connection : undefined;
      const held = old ?? await servers.connect(left());
      if (turns.ended) held[Symbol.dispose]();
      connection = held;
      try {
        // It waits for no lock: a server that is there answers at once.
        await held.within(
          servers.patience(left()),
          () => held.query(write ? BEGIN.write : BEGIN.read),
          servers.patience(deadline),
        );
        // Who tells of changes has to be who takes them.
        for (const listener of listeners) {
          if (listener.place !== undefined && listener.place !== held.place) listener.again();
        }
        return held;
      } catch (error) {
        if (old === undefined || left() <= 1) throw error;
        drop();
        servers.leave(held.place);
      }
    }
  };

  const migration = (query: Query, mayWrite: boolean) =>
    migrate({
      query,
      name: `database ${location}`,
      repair,
      ...(onlyExisting && { existingAt: location }),
      // Not by to_regclass(): a transaction that has found no table by it finds none until it ends, whoever makes it meanwhile.
      hasTable: async (table) =>
        (await query("select 1 from pg_class where relname = $1 and pg_table_is_visible(oid)", [
          table,
        ])).length > 0,
      async locked(work) {
        if (!mayWrite) throw new NeedsMigration();
        await query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
        await work();
      },
    });

  const transaction = async <T>(
    query: Query,
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    try {
      if (!migrated) await migration(query, write);
      // The revision's row is locked before the clock is read: times are in the order of commits.
      history = connection?.state.history;
      if (write) await query("select value from knet_meta where name = 'revision' for update");
      const [row] = await query(
        "select (extract(epoch from clock_timestamp()) * 1000)::bigint, " +
          "(select value from knet_meta where name = 'oldest_reader'), " +
          "(select value from knet_meta where name = 'schema')",
      );
      const [oldestReader, schema] = [Number(row![1]), Number(row![2])];
      checkReader({ oldestReader, schema }, `database ${location}`);
      const result = await work(query, Number(row![0]));
      await query("commit");
      return result;
    } catch (error) {
      // A connection that is lost loses its transaction by itself.
      await query("rollback").catch(() => {});
      throw error;
    }
  };

  const once = async <T>(
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    const until = monotonicClock() + deadline;
    const held = await begun(write, until);
    const query: Query = (text, parameters) => held.query(text, parameters);
    const result = await held.within(
      Math.max(until - monotonicClock(), 1),
      () => transaction(query, write, work),
      deadline,
    );
    migrated = true;
    onlyExisting = true;
    if ([...listeners].some(({ crowded }) => crowded)) drop();
    else idle = after(IDLE, drop, { idle: true });
    return result;
  };

  const run = async <T>(
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    const giveUp = monotonicClock() + CROWD_PATIENCE;
    for (let attempt = 0;; attempt++) {
      turns.check();
      try {
        return await once(write, work);
      } catch (error) {
        if (error instanceof NeedsMigration) return await run(true, work);
        if (migrated && isUndefinedTable(error)) {
          migrated = false;
          drop();
          continue;
        }
        const trouble = troubleOf(error);
        if (trouble !== "refused") {
          const place = connection?.place;
          // Nothing is wrong with a connection that lost to another transaction.
          if (trouble !== "again" || connection?.dead) drop();
          if (place !== undefined && (trouble === "away" || trouble === "elsewhere")) {
            servers.leave(place);
          }
          // Whoever was away a moment ago, or is another now, is looked for once more: nothing was committed but by chance of the last word.
          const repeat = trouble === "again"
            ? attempt < 5
            : trouble === "crowd"
            ? monotonicClock() < giveUp
            : trouble === "elsewhere" && target.hosts.length > 1 && attempt === 0;
          if (repeat) {
            if (trouble !== "elsewhere") {
              await sleep(50 * 2 ** Math.min(attempt, 5) * (0.5 + random()));
            }
            continue;
          }
        }
        throw postgresError(location, error);
      }
    }
  };

  return {
    engine: "postgres",
    location,
    hostClock: false,
    history: () => history,
    write: (work) => turns.take(() => run(true, work)),
    read: (work) => turns.take(() => run(false, work)),
    async announce(query) {
      await query("select pg_notify($1, '')", [channel]);
    },
    subscribe(onChange, onState) {
      const listener = new PostgresListener(servers, channel, deadline, onChange, onState);
      listeners.add(listener);
      return {
        [Symbol.dispose]() {
          listeners.delete(listener);
          listener[Symbol.dispose]();
        },
      };
    },
    reset() {
      if (turns.ended) return;
      servers.doubt();
      drop();
      for (const listener of listeners) listener.again();
    },
    async close() {
      await turns.end();
      for (const listener of listeners) listener[Symbol.dispose]();
      drop();
    },
  };
}
