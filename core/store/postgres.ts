/**
 * The store in Postgres.
 *
 * @module
 */
import postgres from "postgres";
import { monotonicClock } from "../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import type { Engine, Query, Row, SqlValue } from "./engine.ts";
import { migrate } from "./migrate.ts";
import { passwordFor, places } from "./postgres_places.ts";
import { describeTarget, parsePostgresUrl } from "./postgres_url.ts";

type Sql = ReturnType<typeof postgres>;

const CHANNEL = "knet";
const POLL = 1000;
const SLOW_POLL = 30_000;
const ECHO_DEADLINE = 2000;
/** How long a call goes on trying while the server has no connection to spare. */
const CROWD_PATIENCE = 60_000;
// Any number that other programs on the same database are unlikely to lock by.
const MIGRATION_LOCK = 0x6b6e6574;

// SQLSTATE classes and codes: PostgreSQL, appendix A.
const TOO_MANY = "53300";
const AWAY = /^(08|57P0|53)/;
const AWAY_NETWORK =
  /^(ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|ENOTFOUND|CONNECT_TIMEOUT|CONNECTION_)/;

/** Thrown where a reader finds a schema that has to be brought up first, which takes a writer. */
const OLD_SCHEMA = new Error("the schema is old");

function postgresError(location: string, error: unknown): Error {
  if (error instanceof KnetError) return error;
  const code = String((error as { code?: unknown })?.code ?? "");
  const about = `Cannot use the database ${location}`;
  if (AWAY.test(code) || AWAY_NETWORK.test(code)) {
    return new StoreAwayError(`${about}: ${messageOf(error)}`, {
      cause: error,
      remedy: "Check that the server runs and that this host reaches it",
    });
  }
  if (code === "28P01" || code === "28000") {
    return new KnetError(`${about}: the server refuses the user or password`, {
      remedy: "Check KNET_STORE in /etc/default/knet, PGPASSFILE, and the server's pg_hba.conf",
    });
  }
  if (code === "42501") {
    return new KnetError(`${about}: ${messageOf(error)}`, {
      remedy: "Grant the user the right to create and use tables in its schema",
    });
  }
  return new KnetError(`${about}: ${messageOf(error)}`, { cause: error });
}

/**
 * Opens a database.
 *
 * @param url See {@linkcode parsePostgresUrl}.
 * @param deadline Milliseconds that one call may take; the connection is destroyed after that.
 * @param existing Makes no tables.
 */
export function postgresEngine(url: string, deadline: number, existing = false): Engine {
  const target = parsePostgresUrl(url, (name) => Deno.env.get(name));
  const { schema } = target;
  const location = describeTarget(target);
  const password = passwordFor(target);
  const connection = {
    ...places(target),
    database: target.database,
    user: target.user,
    ...(password !== undefined && { pass: password }),
    ...(target.readWrite && { target_session_attrs: "read-write" as const }),
    ssl: false,
  };
  const channel = schema === undefined ? CHANNEL : `${CHANNEL}_${schema}`;
  let sql: Sql | undefined;
  let migrated = false;
  let ended = false;
  const listeners = new Set<() => void>();

  const client = (idle: number): Sql =>
    postgres({
      ...connection,
      max: 1,
      idle_timeout: idle,
      connect_timeout: deadline / 1000,
      max_lifetime: null,
      prepare: false,
      fetch_types: false,
      onnotice: () => {},
      connection: {
        application_name: "knet",
        ...(schema !== undefined && { search_path: `"${schema.replaceAll('"', '""')}"` }),
      },
      types: { bigint: { to: 20, from: [20], serialize: String, parse: Number } },
    });

  const drop = () => {
    const old = sql;
    sql = undefined;
    void old?.end({ timeout: 0 }).catch(() => {});
  };

  const withDeadline = async <T>(work: Promise<T>): Promise<T> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() =>
        reject(
          new StoreAwayError(
            `Cannot use the database ${location}: no answer within ${deadline / 1000} s`,
            {
              remedy: "Check that the server runs and that this host reaches it",
            },
          ),
        ), deadline);
    });
    work.catch(() => {}); // After the deadline nobody listens any more.
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  };

  const once = async <T>(
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    sql ??= client(10);
    const held = sql;
    return await held.begin(
      write ? "isolation level read committed" : "isolation level repeatable read",
      async (tx) => {
        const query: Query = async (text, parameters: readonly SqlValue[] = []) =>
          [...await tx.unsafe(text, [...parameters]).values()] as Row[];
        if (!migrated) await migrateWithin(query, write);
        if (write) await query("select value from knet_meta where name = 'revision' for update");
        const [clock] = await query(
          "select (extract(epoch from clock_timestamp()) * 1000)::bigint",
        );
        return await work(query, Number(clock![0]));
      },
    ) as T;
  };

  /** Within a transaction: it ends, and with it the lock, when that does. */
  const migrateWithin = (query: Query, write: boolean) =>
    migrate({
      query,
      name: `database ${location}`,
      ...(existing && { existingAt: location }),
      hasTables: async () => (await query("select to_regclass('knet_meta')::text"))[0]?.[0] != null,
      async locked(work) {
        if (!write) throw OLD_SCHEMA;
        await query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
        await work();
      },
    });

  const run = async <T>(
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    const giveUp = monotonicClock() + CROWD_PATIENCE;
    let writes = write;
    for (let attempt = 0;; attempt++) {
      try {
        const result = await withDeadline(once(writes, work));
        migrated = true;
        return result;
      } catch (error) {
        if (error === OLD_SCHEMA) {
          writes = true;
          continue;
        }
        const code = (error as { code?: unknown })?.code;
        if (code === TOO_MANY && monotonicClock() < giveUp) {
          drop();
          const wait = 50 * 2 ** Math.min(attempt, 5) * (0.5 + Math.random());
          await new Promise((resolve) => setTimeout(resolve, wait));
          continue;
        }
        const told = postgresError(location, error);
        if (told instanceof StoreAwayError) drop();
        throw told;
      }
    }
  };

  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> => {
    const turn = queue.then(() => run(write, work));
    queue = turn.catch(() => {});
    return turn;
  };

  return {
    engine: "postgres",
    location,
    hostClock: false,
    write: (work) => inTurn(true, work),
    // A first read has to make the tables, which a snapshot from before the lock would not see. One that makes none only reads.
    read: (work) => inTurn(!migrated && !existing, work),
    async announce(query) {
      await query("select pg_notify($1, '')", [channel]);
    },
    subscribe(onChange, onState) {
      let stopped = false;
      let listener: Sql | undefined;
      let failures = 0;
      let timer: ReturnType<typeof setTimeout> | undefined;
      let poll: ReturnType<typeof setInterval> | undefined;
      const pollEvery = (milliseconds: number) => {
        clearInterval(poll);
        poll = setInterval(onChange, milliseconds);
      };
      const stop = () => {
        const old = listener;
        listener = undefined;
        void old?.end({ timeout: 0 }).catch(() => {});
      };
      const again = () => {
        if (stopped) return;
        stop();
        clearTimeout(timer);
        timer = setTimeout(
          listen,
          Math.min(250 * 2 ** Math.min(failures++, 5), 4000) * (0.5 + Math.random() / 2),
        );
      };
      const probe = async (connection: Sql) => {
        let echoed = false;
        await withDeadline(connection.listen(channel, (payload) => {
          if (payload === "echo") echoed = true;
          else onChange();
        }));
        await withDeadline(connection.unsafe("select pg_notify($1, 'echo')", [channel]));
        const until = monotonicClock() + ECHO_DEADLINE;
        while (!echoed && monotonicClock() < until) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return echoed;
      };
      const listen = async () => {
        if (stopped) return;
        const made = client(0);
        listener = made;
        try {
          const echoed = await probe(made);
          if (stopped || listener !== made) return;
          failures = 0;
          if (echoed) {
            onState("notify", "LISTEN/NOTIFY");
            pollEvery(SLOW_POLL);
          } else {
            onState(
              "poll",
              "no echo of a notification: there is a pooler in between; looking every second",
            );
            stop();
            pollEvery(POLL);
          }
          onChange();
        } catch (error) {
          onState("away", messageOf(error));
          again();
        }
      };
      listeners.add(again);
      pollEvery(SLOW_POLL);
      void listen();
      return {
        [Symbol.dispose]() {
          stopped = true;
          listeners.delete(again);
          clearTimeout(timer);
          clearInterval(poll);
          stop();
        },
      };
    },
    reset() {
      if (ended) return;
      drop();
      for (const again of listeners) again();
    },
    async close() {
      ended = true;
      await queue;
      const old = sql;
      sql = undefined;
      await old?.end({ timeout: 1 }).catch(() => {});
    },
  };
}
