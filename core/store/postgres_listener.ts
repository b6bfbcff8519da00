/**
 * Hears of changes in Postgres: LISTEN on a connection of its own, on the server that serves; polling where a pooler loses notifications.
 *
 * @module
 */
import { after, monotonicClock, random, sleep, type Timer } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import type { PostgresConnection } from "./postgres_connection.ts";
import type { PostgresPlace } from "./postgres_url.ts";
import type { PostgresServers } from "./postgres_servers.ts";

/** Milliseconds between looks where nothing tells of changes. */
const POLL = 1000;
/** Milliseconds between looks where something does. */
const SLOW_POLL = 30_000;
/** Milliseconds that a notification may take to come back. */
const ECHO_DEADLINE = 2000;
/** Milliseconds between questions whether the server is still there, and still the one. */
const HEARTBEAT = 2000;

/** From this part of the server's connections on nobody keeps one that it does not use just now. */
const CROWDED = 0.75;

/**
 * Which part of the server's connections is in use, or would be if each host that is there had the two that a host has at most
 * (pg_stat_database and pg_stat_activity, PostgreSQL chapter 28).
 */
const IN_USE = `select greatest(
    (select sum(numbackends) from pg_stat_database),
    2 * (select count(distinct client_addr) from pg_stat_activity where application_name = 'knet')
  )::float8 / greatest(1, current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int)`;

/** Tells of changes until disposed of. */
export class PostgresListener implements Disposable {
  readonly #servers: PostgresServers;
  readonly #channel: string;
  readonly #deadline: number;
  readonly #onChange: () => void;
  readonly #onState: (state: "notify" | "poll" | "away", detail: string) => void;
  #connection: PostgresConnection | undefined;
  #stopped = false;
  #failures = 0;
  #retry: Timer | undefined;
  #poll: Timer | undefined;
  #beat: Timer | undefined;
  #round = 0;
  #crowded = false;

  /** @param deadline Milliseconds that a call may take. */
  constructor(
    servers: PostgresServers,
    channel: string,
    deadline: number,
    onChange: () => void,
    onState: (state: "notify" | "poll" | "away", detail: string) => void,
  ) {
    this.#servers = servers;
    this.#channel = channel;
    this.#deadline = deadline;
    this.#onChange = onChange;
    this.#onState = onState;
    this.#pollEvery(SLOW_POLL);
    void this.#listen();
  }

  /** Where it listens. */
  get place(): PostgresPlace | undefined {
    return this.#connection?.place;
  }

  /** Whether the server has hardly a connection to spare: one that waits for its next use keeps another host out. */
  get crowded(): boolean {
    return this.#crowded;
  }

  /** Begins anew: the way to the server, or the server, is another one. */
  again(): void {
    if (this.#stopped) return;
    this.#hangUp();
    this.#retry?.cancel();
    const wait = Math.min(250 * 2 ** Math.min(this.#failures++, 4), 2000) * (0.5 + random() / 2);
    this.#retry = after(wait, () => void this.#listen());
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#poll?.cancel();
    this.#hangUp();
  }

  #hangUp(): void {
    this.#round++;
    this.#beat?.cancel();
    this.#connection?.[Symbol.dispose]();
    this.#connection = undefined;
  }

  #pollEvery(milliseconds: number): void {
    this.#poll?.cancel();
    this.#poll = after(milliseconds, () => {
      this.#onChange();
      if (!this.#stopped) this.#pollEvery(milliseconds);
    });
  }

  async #listen(): Promise<void> {
    const round = ++this.#round;
    const isOver = () => this.#stopped || this.#round !== round;
    try {
      const made = await this.#servers.connect(this.#deadline);
      if (isOver()) return made[Symbol.dispose]();
      this.#connection = made;
      made.onEnd = (why) => this.#lost(why);
      const echoed = await this.#hears(made);
      if (isOver()) return;
      this.#failures = 0;
      if (echoed) {
        this.#onState("notify", "LISTEN/NOTIFY");
        this.#pollEvery(SLOW_POLL);
        this.#watch(made);
      } else {
        this.#onState(
          "poll",
          "no echo of a notification: there is a pooler in between; looking every second",
        );
        this.#hangUp();
        this.#pollEvery(POLL);
      }
      this.#onChange();
    } catch (error) {
      if (!isOver()) this.#lost(error);
    }
  }

  #lost(why: unknown): void {
    if (this.place !== undefined) this.#servers.leave(this.place);
    this.#onState("away", messageOf(why));
    this.again();
  }

  async #hears(connection: PostgresConnection): Promise<boolean> {
    let echoed = false;
    connection.onNotification = (payload) => {
      if (payload === "echo") echoed = true;
      else this.#onChange();
    };
    const { state: { pooled } } = connection;
    // A pooler hands over what a session tells itself, and loses what others tell it.
    using other = pooled ? await this.#servers.connect(this.#deadline) : undefined;
    const teller = other ?? connection;
    await connection.within(this.#deadline, async () => {
      await connection.query(`listen "${this.#channel.replaceAll('"', '""')}"`);
      await teller.query("select pg_notify($1, 'echo')", [this.#channel]);
    });
    const until = monotonicClock() + ECHO_DEADLINE;
    while (!echoed && monotonicClock() < until) await sleep(20);
    return echoed;
  }

  /** A server that vanished says nothing, and neither does one that became a standby. */
  #watch(connection: PostgresConnection): void {
    this.#beat = after(HEARTBEAT, async () => {
      try {
        const [[row], inUse] = await connection.within(
          this.#servers.patience(this.#deadline),
          async () =>
            [
              await connection.query("select pg_is_in_recovery()::text"),
              await partInUse(connection),
            ] as const,
        );
        if (this.#connection !== connection) return;
        if (row![0] === "true" && !connection.state.standby) {
          throw new Error("the server became a standby");
        }
        this.#crowded = inUse > CROWDED;
        this.#watch(connection);
      } catch (error) {
        if (this.#connection === connection) this.#lost(error);
      }
    });
  }
}

/** Which part of the server's connections is in use; 0 where it does not say, as managed ones may not. */
async function partInUse(connection: PostgresConnection): Promise<number> {
  try {
    const [row] = await connection.query(IN_USE);
    return Number(row![0]);
  } catch (error) {
    if (connection.dead) throw error;
    return 0;
  }
}
