/**
 * Which of several servers serves: the one that takes writes, and goes on with the history that was seen last.
 *
 * @module
 */
import { monotonicClock } from "../base/clock.ts";
import { messageOf, StoreAwayError } from "../base/error.ts";
import type { ServerHistory } from "./engine.ts";
import { wasReplaced } from "./identity.ts";
import { PostgresConnection } from "./postgres_connection.ts";
import { postgresError, troubleOf } from "./postgres_errors.ts";
import type { PostgresPlace, PostgresTarget } from "./postgres_url.ts";

/** The longest that one of several servers may take to answer, milliseconds: one that swallows packets must not use up the call's time. */
const EACH = 1500;

/** The longest to wait for the others where one serves already, milliseconds: one of them may have replaced it. */
const OTHERS = 400;

const nameOf = ({ host, port }: PostgresPlace) =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** The servers of a store's URL. */
export class PostgresServers {
  readonly #target: PostgresTarget;
  readonly #location: string;
  /** Number of the server that served last, or of the one to ask first. */
  #first = 0;
  #history: ServerHistory | undefined;
  /** Whether all of them are to be asked, and not only until one serves. */
  #doubt = true;

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

  /** What the server that serves says is doubted: of those that take writes, the one that was made the primary last is the right one. */
  doubt(): void {
    this.#doubt = true;
  }

  /** Whether a connection is to a server that was replaced by one that was seen since. */
  isOlder({ state }: PostgresConnection): boolean {
    return wasReplaced(this.#history, state.history);
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
        const objection = this.#objection(connection);
        if (objection === undefined) {
          this.#first = number;
          return await this.#newest(connection);
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

  /**
   * Of all servers that take writes the one that was made the primary last. The others are asked where there is a doubt; if none of them
   * is newer, the store's own marks tell whether this one is to be believed.
   */
  async #newest(serving: PostgresConnection): Promise<PostgresConnection> {
    const { hosts } = this.#target;
    let best = serving;
    if (hosts.length > 1 && (this.#doubt || this.isOlder(serving))) {
      this.#doubt = false;
      const others = hosts.map((_, number) => number).filter((number) => number !== this.#first);
      await Promise.all(others.map(async (number) => {
        let other: PostgresConnection | undefined;
        try {
          other = await PostgresConnection.open(this.#target, hosts[number]!, OTHERS);
          if (this.#objection(other) !== undefined) return;
          if (!wasReplaced(other.state.history, best.state.history)) return;
          this.#first = number;
          [best, other] = [other, best];
        } catch {
          // It does not serve.
        } finally {
          other?.[Symbol.dispose]();
        }
      }));
    }
    if (!this.isOlder(best)) this.#history = best.state.history ?? this.#history;
    return best;
  }

  /** Why a server is not the one. */
  #objection({ state: { standby, readOnly } }: PostgresConnection): string | undefined {
    if (!this.#needsWrites) return undefined;
    if (standby) return "is a standby";
    return readOnly ? "takes no writes" : undefined;
  }
}
