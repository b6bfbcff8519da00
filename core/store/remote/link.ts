/**
 * The way to whichever server answers: one connection, made when somebody asks, to the next server if one does not answer.
 *
 * A request that was sent is never sent again, unless it only reads: its answer may be all that was lost.
 *
 * @module
 */
import { monotonicClock, random, sleep } from "../../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import { firstOf } from "../../base/first_of.ts";
import { checkShape } from "../../base/shape.ts";
import { type ByteStream, closeQuietly } from "../dqlite/stream.ts";
import type { StoreMark } from "../identity.ts";
import { type ArgumentsOf, type CallName, CALLS, type ResultOf } from "./calls.ts";
import { Conversation, LostAnswerError } from "./conversation.ts";

/** Milliseconds that one server may take until it has greeted. */
const GREETING = 2000;
/** Servers that are always tried, the best; and how many in all at a time. */
const [BEST, MOST] = [6, 12];
/** In so many parts of the deadline the next server is tried beside those that have not greeted. */
const PARTS = 15;
/** Milliseconds after which a connection that nobody uses is closed. */
const IDLE = 5000;
/** Milliseconds after which a follower looks whether another server is the best one by now. */
const CHANGE = 2000;
/** Milliseconds before the first try after a connection was lost, and at most. */
const [SOON, LATE] = [100, 5000];

/** Who serves the store, and how they are reached. */
export interface RemoteWay {
  /** What messages call the store. */
  readonly location: string;
  /** Names of the servers, the best first. */
  servers(): readonly string[];
  /**
   * A stream to a server, who is there proven.
   *
   * @throws {KnetError} that is no StoreAwayError if it is of no use to try it again: it is thrown if no other server answers.
   */
  dial(server: string): Promise<ByteStream>;
}

/** One client. */
export class Link {
  readonly #way: RemoteWay;
  readonly #deadline: number;
  #talk: Conversation | undefined;
  #making: Promise<Conversation> | undefined;
  /** The server that is asked first; undefined: the best. */
  #server: string | undefined;
  /** How many of those behind the best were tried in vain. */
  #passed = 0;
  #closed = false;

  /** @param deadline Milliseconds that a server may be silent. */
  constructor(way: RemoteWay, deadline: number) {
    this.#way = way;
    this.#deadline = deadline;
  }

  /**
   * Asks a server, and checks what it answers.
   *
   * @param expected The store that is expected.
   * @throws {StoreAwayError} if none answers; what the server threw.
   */
  async ask<Name extends CallName>(
    call: Name,
    given: ArgumentsOf<Name>,
    expected?: StoreMark,
  ): Promise<ResultOf<Name>> {
    const until = monotonicClock() + this.#deadline;
    const { location } = this.#way;
    for (let tries = 1;; tries++) {
      const talk = await this.#connected(until);
      try {
        const result = await talk.ask({
          call,
          arguments: given,
          ...(expected !== undefined && { expected }),
        });
        return checkShape<unknown>(CALLS[call].result, result) as ResultOf<Name>;
      } catch (error) {
        if (error instanceof TypeError) {
          throw new KnetError(`Cannot use the answer of the store ${location}: ${error.message}`, {
            cause: error,
          });
        }
        if (!(error instanceof StoreAwayError)) throw error;
        // Another one may be with the majority.
        this.#leave(talk, messageOf(error));
        const again = CALLS[call].reads && monotonicClock() < until &&
          tries <= this.#way.servers().length;
        if (again) continue;
        if (!(error instanceof LostAnswerError)) throw error;
        throw new StoreAwayError(
          CALLS[call].reads
            ? `Cannot use the store ${location}: ${messageOf(error)}`
            : `Cannot tell whether the store ${location} took the change: ${messageOf(error)}`,
          {
            cause: error,
            ...(!CALLS[call].reads &&
              { remedy: "Look what the store holds before you repeat it" }),
          },
        );
      } finally {
        talk.rest(IDLE);
      }
    }
  }

  /** See `Store.subscribe`. */
  follow(
    onChange: () => void,
    onState: (state: "notify" | "poll" | "away", detail: string) => void,
  ): Disposable {
    const stop = new AbortController();
    const { signal } = stop;
    void this.#follow(signal, onChange, onState);
    return { [Symbol.dispose]: () => stop.abort() };
  }

  async #follow(
    signal: AbortSignal,
    onChange: () => void,
    onState: (state: "notify" | "poll" | "away", detail: string) => void,
  ): Promise<void> {
    const stopped = new Promise<string>((resolve) =>
      signal.addEventListener("abort", () => resolve("it was stopped"))
    );
    for (let wait = SOON; !signal.aborted;) {
      try {
        const talk = await this.#connected(monotonicClock() + this.#deadline);
        talk.listen((message) => {
          if (signal.aborted) return;
          if (message.event === "changed") return onChange();
          if (!("state" in message)) return;
          if (message.state === "away") onState("away", message.detail);
          else onState("notify", "told by the host that holds the store");
        });
        await talk.ask({ call: "follow", arguments: {} });
        if (signal.aborted) break;
        onState("notify", "told by the host that holds the store");
        onChange();
        wait = SOON;
        const why = await Promise.race([talk.ended, stopped, this.#better(talk, signal)]);
        if (signal.aborted) break;
        if (why === undefined) continue;
        this.#leave(talk, why);
        onState("away", `Cannot use the store ${this.#way.location}: ${why}`);
      } catch (error) {
        if (signal.aborted) break;
        onState("away", messageOf(error));
      }
      await sleep(wait * (0.5 + random()), signal);
      wait = Math.min(wait * 2, LATE);
    }
  }

  /** Waits until another server is the best one, and goes there. */
  async #better(talk: Conversation, signal: AbortSignal): Promise<undefined> {
    const followed = this.#server;
    for (;;) {
      await sleep(CHANGE, signal);
      if (talk.dead || signal.aborted) return await new Promise<undefined>(() => {});
      const [best] = this.#way.servers();
      if (best === undefined || best === followed) continue;
      this.#server = best;
      if (this.#talk === talk) this.#talk = undefined;
      talk.retire("another server is better");
      return undefined;
    }
  }

  /** Drops the connection; the next request makes another one. */
  reset(): void {
    this.#talk?.close("the way there is another one now");
    this.#talk = undefined;
  }

  /** Ends all. */
  close(): void {
    this.#closed = true;
    this.#talk?.close("this program closed it");
  }

  /** Gives a server up for the next; what others have asked there is answered still. */
  #leave(talk: Conversation, why: string): void {
    if (this.#talk !== talk) return;
    const servers = this.#way.servers();
    if (!talk.dead && servers.length < 2) return;
    this.#server = servers[(servers.indexOf(this.#server ?? "") + 1) % servers.length];
    this.#talk = undefined;
    talk.retire(why);
  }

  #connected(until: number): Promise<Conversation> {
    if (this.#closed) {
      throw new KnetError(`Cannot use the store ${this.#way.location}: it was closed`);
    }
    if (this.#talk !== undefined && !this.#talk.dead) return Promise.resolve(this.#talk);
    this.#making ??= this.#connect(until).finally(() => this.#making = undefined);
    return this.#making;
  }

  async #connect(until: number): Promise<Conversation> {
    const servers = this.#inOrder();
    const ways = servers.map((server) => async () => {
      const patience = Math.min(until - monotonicClock(), GREETING);
      if (patience <= 0) throw new StoreAwayError("no answer");
      return { server, talk: await this.#greet(server, patience) };
    });
    try {
      const { server, talk } = await firstOf(
        ways,
        this.#deadline / PARTS,
        ({ talk }) => talk.retire("late"),
      );
      this.#server = server;
      this.#talk = talk;
      this.#passed = 0;
      if (this.#closed) talk.close("this program closed it");
      return talk;
    } catch (error) {
      // Whoever was good last may be gone for good.
      this.#server = undefined;
      this.#passed += MOST - BEST;
      throw this.#nobody(servers, (error as AggregateError).errors as unknown[]);
    }
  }

  /** Whom to try: who was good last, the best, and some of the others, each time other ones. */
  #inOrder(): string[] {
    const servers = this.#way.servers();
    const [best, others] = [servers.slice(0, BEST), servers.slice(BEST)];
    const from = others.length === 0 ? 0 : this.#passed % others.length;
    const last = servers.filter((server) => server === this.#server);
    const all = [...last, ...best, ...others.slice(from), ...others.slice(0, from)];
    return [...new Set(all)].slice(0, MOST);
  }

  #nobody(servers: readonly string[], errors: readonly unknown[]): unknown {
    // What one server refuses another may grant: whether this host is revoked, say, they hear one after the other.
    const refused = errors.find((error) =>
      error instanceof KnetError && !(error instanceof StoreAwayError)
    );
    if (refused !== undefined) return refused;
    const failed = servers.map((server, at) =>
      servers.length === 1 ? messageOf(errors[at]) : `${server}: ${messageOf(errors[at])}`
    );
    return new StoreAwayError(
      `Cannot use the store ${this.#way.location}: ${
        failed.join("; ") || "no host that holds a copy is known"
      }`,
      { remedy: "The network goes on meanwhile; see that the agents there run" },
    );
  }

  async #greet(server: string, patience: number): Promise<Conversation> {
    const began = monotonicClock();
    let late = false;
    const dialed = this.#way.dial(server);
    const waiting = new AbortController();
    try {
      const stream = await Promise.race([
        dialed,
        sleep(patience, waiting.signal).then(() => {
          late = !waiting.signal.aborted;
          throw new StoreAwayError("no answer");
        }),
      ]);
      const left = Math.max(patience - (monotonicClock() - began), 100);
      return await Conversation.begin(stream, this.#way.location, left, this.#deadline);
    } catch (error) {
      if (late) void dialed.then(closeQuietly, () => {});
      throw error;
    } finally {
      waiting.abort();
    }
  }
}
