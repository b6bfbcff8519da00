/**
 * One connection to one Postgres server, by the `pg` package, with a deadline on all that is done by it.
 *
 * @module
 */
import { after } from "../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import { readTextIfPresent } from "../base/files.ts";
import type { Row, ServerHistory, SqlValue } from "./engine.ts";
import { passwordOfFile } from "./pgpass.ts";
import { PostgresStream } from "./postgres_stream.ts";
import type { PostgresPlace, PostgresTarget } from "./postgres_url.ts";
import { Client } from "./pg.ts";

/** Types that are numbers in text (pg_type.dat): int8, int2, int4, oid, float4, float8. */
const NUMBERS = new Set([20, 21, 23, 26, 700, 701]);
const TYPES = {
  getTypeParser: (oid: number) => NUMBERS.has(oid) ? Number : (text: string) => text,
};

/**
 * Set in each session, as far as the server has them: a server that lost this host shall notice it
 * within some seconds, and free what the session locked. Milliseconds or seconds, as they are there.
 */
const SESSION = {
  tcp_keepalives_idle: "3",
  tcp_keepalives_interval: "2",
  tcp_keepalives_count: "3",
  tcp_user_timeout: "9000",
  client_connection_check_interval: "2000",
};

/** One statement, so that it costs one way there and back. */
const HELLO =
  `select pg_is_in_recovery()::text, current_setting('transaction_read_only'), pg_backend_pid(),
  (select count(set_config(have.name, wanted.value, false)) from (values ${
    Object.entries(SESSION).map(([name, value]) => `('${name}', '${value}')`).join(", ")
  }) as wanted (name, value) join pg_settings have on have.name = wanted.name)`;

/** Bit strings of the timeline that a server writes: the first eight digits of a WAL file's name. */
const TIMELINE = `select pg_walfile_name(pg_current_wal_lsn()), (select system_identifier::text
  from pg_control_system())`;

/** What a server says of itself. */
export interface ServerState {
  /** It follows another one. */
  readonly standby: boolean;
  /** Transactions of this user cannot write there. */
  readonly readOnly: boolean;
  /** Whoever was greeted is not who answers: there is a pooler in between. */
  readonly pooled: boolean;
  /** Which history it writes on; absent where it does not say, as managed ones may not. */
  readonly history?: ServerHistory;
}

function needText(path: string): string {
  const text = readTextIfPresent(path);
  if (text !== undefined) return text;
  throw new KnetError(`Cannot open the store: there is no file "${path}"`, {
    exitCode: 2,
    remedy: "Correct the path in the store's URL",
  });
}

/** A connection. It is of no use any more after its first failure but a refused statement's. */
export class PostgresConnection implements Disposable {
  readonly place: PostgresPlace;
  readonly #client: Client;
  readonly #stream: PostgresStream;
  #dead: Error | undefined;
  #state: ServerState = { standby: false, readOnly: false, pooled: false };
  /** Called for each notification, with its payload. */
  onNotification: (payload: string) => void = () => {};
  /** Called when it ends by itself. */
  onEnd: (why: Error) => void = () => {};

  private constructor(target: PostgresTarget, place: PostgresPlace) {
    this.place = place;
    const { tls, database, user } = target;
    const authority = tls?.rootCert === undefined ? undefined : needText(tls.rootCert);
    const { host, port } = place;
    this.#stream = new PostgresStream(place, { tls, authority });
    this.#client = new Client({
      host,
      port,
      user,
      database,
      // Read anew for each connection: it may have been changed.
      password: target.password ?? passwordOfFile({ host, port: `${port}`, database, user }) ?? "",
      ssl: false,
      application_name: "knet",
      ...(target.session !== undefined && { options: target.session }),
      types: TYPES,
      stream: () => this.#stream,
    });
    this.#client.on("error", (error) => this.#die(error));
    this.#client.on("end", () => this.#die(new Error("the server ended the connection")));
    this.#client.on("notification", ({ payload }) => this.onNotification(payload ?? ""));
  }

  /**
   * Connects and asks the server what it is.
   *
   * @param limit Milliseconds that it may take.
   * @throws {StoreAwayError} if it takes longer.
   * @throws {Error} of `pg` and Deno, to be told by `postgresError`.
   */
  static async open(
    target: PostgresTarget,
    place: PostgresPlace,
    limit: number,
  ): Promise<PostgresConnection> {
    const made = new PostgresConnection(target, place);
    try {
      await made.within(limit, async () => {
        await made.#client.connect();
        const [row] = await made.query(HELLO);
        const [standby, readOnly, pid] = row!;
        const pooled = pid !== made.#client.processID;
        // Behind a pooler the next statement may be another server's.
        const history = pooled || standby === "true" ? undefined : await made.#history();
        made.#state = {
          standby: standby === "true",
          readOnly: readOnly === "on",
          pooled,
          ...(history && { history }),
        };
      });
      return made;
    } catch (error) {
      made[Symbol.dispose]();
      throw error;
    }
  }

  /** What the server was when the connection was made. */
  get state(): ServerState {
    return this.#state;
  }
  /** Whether it cannot be used any more. */
  get dead(): boolean {
    return this.#dead !== undefined;
  }

  /** Which history the server writes on. */
  async #history(): Promise<ServerHistory | undefined> {
    try {
      const [row] = await this.query(TIMELINE);
      return { system: String(row![1]), timeline: parseInt(String(row![0]).slice(0, 8), 16) };
    } catch (error) {
      if (this.dead) throw error;
      return undefined;
    }
  }

  /** Runs one statement, or several without parameters; rows are those of the last one. */
  async query(text: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    if (this.#dead !== undefined) throw this.#dead;
    try {
      const result = await this.#client.query({
        text,
        ...(parameters.length > 0 && { values: [...parameters] }),
        rowMode: "array",
      });
      return (Array.isArray(result) ? result.at(-1)! : result).rows as Row[];
    } catch (error) {
      throw this.#dead ?? error;
    }
  }

  /**
   * Does something by it; what takes longer ends the connection.
   *
   * @param limit Milliseconds that it may take.
   * @param whole Milliseconds that all of it had, with what came before on the same clock: what an error speaks of.
   */
  async within<T>(limit: number, work: () => Promise<T>, whole = limit): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = after(limit, () => {
      const { host, port } = this.place;
      const late = new StoreAwayError(
        `Cannot use the database on ${host}:${port}: no answer within ${
          Math.round(whole) / 1000
        } s`,
        { remedy: "Check that the server runs and that this host reaches it" },
      );
      this.#die(late);
      reject(late);
    });
    const working = work();
    working.catch(() => {}); // After the deadline nobody listens any more.
    try {
      return await Promise.race([working, promise]);
    } finally {
      timer.cancel();
    }
  }

  #die(why: unknown): void {
    if (this.#dead !== undefined) return;
    this.#dead = why instanceof Error ? why : new Error(messageOf(why));
    this.#stream.destroy();
    this.onEnd(this.#dead);
  }

  /** Ends it without waiting for the server. */
  [Symbol.dispose](): void {
    this.onEnd = () => {};
    if (this.#dead === undefined) void this.#client.end().catch(() => {});
    this.#dead ??= new Error("the connection was closed");
    // What says goodbye goes out first, where there is somebody to take it.
    after(100, () => this.#stream.destroy(), { idle: true });
  }
}
