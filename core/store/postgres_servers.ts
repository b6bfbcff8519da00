/**
 * Which of several servers serves: the one that takes writes, and goes on with the history that was seen last.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";
import { messageOf, StoreAwayError } from "../base/error.ts";
import { PostgresConnection, type ServerHistory } from "./postgres_connection.ts";
import { postgresError, troubleOf } from "./postgres_errors.ts";
import type { PostgresPlace, PostgresTarget } from "./postgres_url.ts";

/** The longest that one of several servers may take to answer, milliseconds: one that swallows packets must not use up the call's time. */
const EACH = 1500;

const nameOf = ({ host, port }: PostgresPlace) =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** The servers of a store's URL. */
export class PostgresServers {
  readonly #target: PostgresTarget;
  readonly #location: string;
  /** Number of the server that served last, or of the one to ask first. */
  #first = 0;
  #history: ServerHistory | undefined;

  constructor(target: PostgresTarget, location: string) {
    this.#target = target;
    this.#location = location;
  }

  /** Whether a server has to take writes to be the one. Of several only one does. */
  get #needsWrites(): boolean {
    return this.#target.readWrite || this.#target.hosts.length > 1;
  }

  /** How long to wait for what a server answers at once, milliseconds, if `left` are left: where there is another one, not for all of it. */
  patience(left: number): number {
    const { hosts, connectTimeout } = this.#target;
    const most = connectTimeout ?? (hosts.length === 1 ? left : EACH);
    return Math.min(left, most);
  }

  /** The server that served is not the one any more: the others are asked before it. */
  leave(place: PostgresPlace): void {
    if (this.#target.hosts[this.#first] !== place) return;
    this.#first = (this.#first + 1) % this.#target.hosts.length;
  }

  /**
   * Connects to the server that serves.
   *
   * @param limit Milliseconds that it may take.
   * @throws {KnetError} `StoreAwayError` if none does now.
   */
  async connect(limit: number): Promise<PostgresConnection> {
    const { hosts } = this.#target;
    const until = monotonicClock() + limit;
    const reasons: string[] = [];
    let refusal: unknown;
    for (let n = 0; n < hosts.length; n++) {
      const number = (this.#first + n) % hosts.length;
      const place = hosts[number]!;
      const left = until - monotonicClock();
      if (left <= 0) break;
      try {
        const connection = await PostgresConnection.open(
          this.#target,
          place,
          this.patience(left),
        );
        const objection = await this.#objection(connection);
        if (objection === undefined) {
          this.#first = number;
          return connection;
        }
        connection[Symbol.dispose]();
        reasons.push(`${nameOf(place)} ${objection}`);
      } catch (error) {
        if (hosts.length === 1) throw error;
        // The administrator's word about one server is a reason to ask the next, and is told if none serves.
        if (troubleOf(error) === "refused") refusal ??= error;
        else if (troubleOf(error) === "crowd") throw error;
        reasons.push(`${nameOf(place)}: ${messageOf(error)}`);
      }
    }
    if (refusal !== undefined && reasons.length === 1) throw refusal;
    throw new StoreAwayError(
      `Cannot use the database ${this.#location}: none of its servers serves: ${
        reasons.join("; ")
      }`,
      {
        remedy: "Check that one of them is the primary and that this host reaches it",
        ...(refusal !== undefined && { cause: postgresError(this.#location, refusal) }),
      },
    );
  }

  /** Why a server is not the one. */
  async #objection(connection: PostgresConnection): Promise<string | undefined> {
    const { standby, readOnly } = connection.state;
    if (!this.#needsWrites) return undefined;
    if (standby) return "is a standby";
    if (readOnly) return "takes no writes";
    if (this.#target.hosts.length === 1) return undefined;
    const history = await connection.within(EACH, () => connection.history());
    const known = this.#history;
    if (history !== undefined && known !== undefined) {
      if (history.system !== known.system) {
        return `is of another database cluster (system identifier ${history.system}, not ${known.system})`;
      }
      if (history.timeline < known.timeline) {
        return `takes writes, but was replaced by another primary (timeline ${history.timeline}, not ${known.timeline}): it must not go on`;
      }
    }
    this.#history = history ?? known;
    return undefined;
  }
}
