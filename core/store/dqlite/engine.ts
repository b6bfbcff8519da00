/**
 * The store in the cluster's own replicated SQLite: transactions on the node that leads, wherever that is just now.
 *
 * @module
 */
import { after, monotonicClock, random, sleep, type Timer, wallClock } from "../../base/clock.ts";
import { messageOf, StoreAwayError } from "../../base/error.ts";
import type { Engine, Query, Row, SqlValue } from "../engine.ts";
import { checkReader, migrate } from "../migrate.ts";
import { Turns } from "../turns.ts";
import type { DqliteConnection } from "./connection.ts";
import { dqliteError, troubleOf } from "./failure.ts";
import { LeaderFinder, type Way } from "./leader.ts";

/** Milliseconds between looks for changes where nobody tells of them. */
const POLL = 200;
/** Milliseconds between looks where somebody does. */
const SLOW_POLL = 5000;
/** Milliseconds for which a copy that has nothing new is not worth a question: whether anybody leads is seen by asking alone. */
const QUIET = 1000;
/** Milliseconds that a look may take, and between looks while the store is away. */
const LOOK = 1000;
/** Milliseconds that a call has at least to find who leads, however long it waited for its turn. */
const LEAST = 500;
/** Milliseconds of waiting for an answer after which the host's own node is asked whether another one leads by now. */
const DOUBT = 400;
/** Milliseconds after which a connection that nobody uses is closed: before the node does (`node_socket.ts`). */
const IDLE = 5000;
/**
 * How long others who write are waited for, milliseconds. A host that stops in the middle of a transaction is cut off by the one that
 * leads long before (`node_socket.ts`), so there is progress all the time.
 */
const CROWD_PATIENCE = 60_000;
/** Milliseconds between tries for the lock: a hundred that try all the time would keep the one that has it from its work. */
const TRIES = [2, 5, 10, 15, 25, 25, 50, 50, 75];

/** A newer knet may close the database to this one at any time. */
const GUARDS = "select (select value from knet_meta where name = 'oldest_reader'), " +
  "(select value from knet_meta where name = 'schema')";

/** What changes with all that others are to know, also if somebody took rows away by hand. */
const PEEK = "select group_concat(value), (select count(*) from knet_config), " +
  "(select count(*) from knet_leases where deleted = 0), " +
  "(select count(*) from knet_services where deleted = 0) from knet_meta";

/** How members tell each other of changes, where they can. */
export interface Notices {
  /** Tells the others that something was committed. */
  tell(): void;
  /** Calls back when another member tells. */
  listen(onChange: () => void): Disposable;
}

/** The leader went while it was to commit: the change was made, or it was not. */
class UncertainError extends StoreAwayError {}

/**
 * Opens the database.
 *
 * @param way How nodes are reached.
 * @param deadline Milliseconds that one call may take, waiting for other writers apart.
 * @param existing Makes no tables.
 * @param repair Takes tables whose counters were emptied for what they are.
 */
export function dqliteEngine(
  way: Way,
  deadline: number,
  existing = false,
  notices?: Notices,
  repair = false,
): Engine {
  const { location } = way;
  const finder = new LeaderFinder(way);
  let connection: DqliteConnection | undefined;
  let idle: Timer | undefined;
  let migrated = false;
  // What was there once is never made anew: it has been taken away, and may come back.
  let onlyExisting = existing;
  const turns = new Turns(`store ${location}`);

  const drop = () => {
    idle?.cancel();
    connection?.[Symbol.dispose]();
    connection = undefined;
  };

  const connected = async (until: number): Promise<DqliteConnection> => {
    idle?.cancel();
    if (connection !== undefined && !connection.dead) return connection;
    const made = await finder.connect(until);
    if (turns.ended) made[Symbol.dispose]();
    connection = made;
    await made.within(until - monotonicClock(), () => made.open());
    return made;
  };

  /** Runs a statement, again and again while somebody else is in the way. */
  const persist = async (
    held: DqliteConnection,
    patience: number,
    sql: string,
    parameters?: readonly SqlValue[],
  ): Promise<Row[]> => {
    const giveUp = monotonicClock() + patience;
    for (let tries = 0;; tries++) {
      try {
        return await held.run(sql, parameters);
      } catch (error) {
        if (troubleOf(error) !== "busy" || monotonicClock() >= giveUp) throw error;
        await sleep(TRIES[Math.min(tries, TRIES.length - 1)]! * (0.5 + random()));
      }
    }
  };
  const queryOn = (held: DqliteConnection): Query => (sql, parameters) =>
    persist(held, deadline, sql, parameters);

  /** Between begin and commit. */
  const between = async <T>(
    held: DqliteConnection,
    write: boolean,
    work: () => Promise<T>,
  ): Promise<T> => {
    if (write) {
      const giveUp = monotonicClock() + CROWD_PATIENCE;
      const wait = () => persist(held, CROWD_PATIENCE, "begin immediate");
      await held.within(giveUp - monotonicClock(), wait);
    } else await held.within(deadline, () => held.run("begin"));
    let committing = false;
    try {
      return await held.within(deadline, async () => {
        const result = await work();
        committing = true;
        await persist(held, deadline, "commit");
        return result;
      });
    } catch (error) {
      // A connection that is lost loses its transaction by itself.
      if (!held.dead) await held.within(deadline, () => held.run("rollback")).catch(() => {});
      const trouble = troubleOf(error);
      if (committing && write && (trouble === "elsewhere" || trouble === "away")) {
        throw new UncertainError(
          `Cannot tell whether the store ${location} took the change: the host that leads went meanwhile`,
          { cause: error, remedy: "Look what the store holds before you repeat it" },
        );
      }
      throw error;
    }
  };

  const ready = async (held: DqliteConnection) => {
    if (migrated) return;
    await migrate({
      query: queryOn(held),
      name: `store ${location}`,
      repair,
      ...(onlyExisting && { existingAt: location }),
      hasTable: async (table) =>
        (await queryOn(held)("select name from sqlite_master where name = $1", [table])).length > 0,
      locked: (work) => between(held, true, work),
    });
    migrated = true;
    onlyExisting = true;
  };

  /** Does it where the leader is; who lost the leader looks for the next one until its time is over. */
  const seek = async <T>(
    until: number,
    attempt: (held: DqliteConnection) => Promise<T>,
  ): Promise<T> => {
    for (;;) {
      turns.check();
      try {
        const held = await connected(until);
        const watch = finder.watch(held, DOUBT);
        const result = await attempt(held).finally(() => watch[Symbol.dispose]());
        idle = after(IDLE, drop, { idle: true });
        return result;
      } catch (error) {
        const trouble = troubleOf(error);
        if (trouble === "elsewhere" || trouble === "away") {
          drop();
          finder.forget();
          const again = !(error instanceof UncertainError) && monotonicClock() < until;
          if (again) {
            await sleep(50 * (0.5 + random()));
            continue;
          }
        }
        throw dqliteError(location, error);
      }
    }
  };

  /** The time begins when it is asked for: while nobody leads, a row of calls would wait for each other's time as well. */
  const inTurn = <T>(
    patience: number,
    attempt: (held: DqliteConnection) => Promise<T>,
  ): Promise<T> => {
    const until = monotonicClock() + patience;
    return turns.take(() => seek(Math.max(until, monotonicClock() + LEAST), attempt));
  };

  let announced = false;
  const transaction = <T>(
    write: boolean,
    work: (query: Query, now: number) => Promise<T>,
  ): Promise<T> =>
    inTurn(deadline, async (held) => {
      await ready(held);
      announced = false;
      const query = queryOn(held);
      const result = await between(held, write, async () => {
        const [row] = await query(GUARDS);
        checkReader(
          { oldestReader: Number(row?.[0] ?? 0), schema: Number(row?.[1] ?? 0) },
          `store ${location}`,
        );
        return await work(query, wallClock());
      });
      if (announced) notices?.tell();
      return result;
    });

  /** What is another one when there is news. */
  const peek = () =>
    inTurn(LOOK, async (held) => {
      await held.within(LOOK, () => ready(held));
      const rows = await held.within(
        LOOK,
        () => held.run(PEEK),
      );
      return rows.join();
    });

  return {
    engine: "dqlite",
    location,
    hostClock: true,
    write: (work) => transaction(true, work),
    read: (work) => transaction(false, work),
    announce() {
      announced = true;
      return Promise.resolve();
    },
    subscribe(onChange, onState) {
      let seen: string | undefined;
      let timer: Timer | undefined;
      let stopped = false;
      const told = notices?.listen(onChange);
      const wait = notices === undefined ? POLL : SLOW_POLL;
      let asked: { readonly at: number; readonly applied: bigint | undefined } | undefined;
      const isQuiet = () =>
        asked?.applied !== undefined && asked.applied === way.applied?.() &&
        monotonicClock() < asked.at + QUIET;
      const look = async () => {
        if (isQuiet()) return again(wait);
        let next = wait;
        const asking = { at: monotonicClock(), applied: way.applied?.() };
        try {
          const news = await peek();
          if (stopped) return;
          asked = asking;
          if (seen === undefined) {
            if (notices === undefined) onState("poll", `looking every ${POLL} ms`);
            else onState("notify", "told by the other members");
          }
          if (news !== seen) onChange();
          seen = news;
        } catch (error) {
          if (stopped) return;
          seen = asked = undefined;
          onState("away", messageOf(error));
          next = LOOK * (0.5 + random());
        }
        again(next);
      };
      const again = (milliseconds: number) => {
        timer = after(milliseconds, () => void look());
      };
      void look();
      return {
        [Symbol.dispose]() {
          stopped = true;
          timer?.cancel();
          told?.[Symbol.dispose]();
        },
      };
    },
    integrity: () =>
      transaction(false, async (query) => {
        const rows = await query("pragma integrity_check(20)");
        return rows.map(([word]) => `${word}`).filter((word) => word !== "ok")
          .map((word) => `The store ${location} is damaged: ${word}`);
      }),
    reset: drop,
    close: () => turns.end().then(drop),
  };
}
