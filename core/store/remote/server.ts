/**
 * Serves the store to who comes by a stream, within bounds: of length, of number, of time.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { after, type Timer } from "../../base/clock.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { checkShape } from "../../base/shape.ts";
import { visibleName } from "../../base/visible.ts";
import { VERSION } from "../../base/version.ts";
import { type ByteStream, closeQuietly } from "../dqlite/stream.ts";
import { checkAccess, longestRequest, type Peer } from "./access.ts";
import { CALLS, CLIENT_SHAPE, isCall } from "./calls.ts";
import { dispatch, type Served } from "./dispatch.ts";
import { sendError } from "./errors.ts";
import { MessageWriter, PROTOCOL, readMessage } from "./messages.ts";
import { GREETING_SHAPE } from "./shapes.ts";

export type { Peer } from "./access.ts";
export type { Served } from "./dispatch.ts";

const log = getLogger(["knet", "store"]);

/** Connections at once. */
const MOST_CONNECTIONS = 1024;
/** Requests of one connection that are worked on at once; more are not read. */
const MOST_AT_ONCE = 32;
/** Bytes that a client may leave untaken; then it is sent away. */
const MOST_WAITING = 128 * 1024 * 1024;
/** Milliseconds from one sign of life to the next, to whom waits for an answer or follows. */
export const BEAT = 1000;
/** Milliseconds that a greeting may take. */
const PATIENCE = 10_000;
/** Milliseconds within which a client's next message, or sign of life, has to be there. */
const SILENCE = 60_000;

/** A server of one store. */
export class StoreServer implements Disposable {
  readonly #served: () => Promise<Served> | Served;
  readonly #connections = new Set<Connection>();
  #subscription: Disposable | undefined;
  /** How this server itself hears of changes. */
  #state: readonly ["notify" | "poll" | "away", string] | undefined;

  /**
   * @param served What is served just now.
   * @throws in `served`: KnetError why nothing is.
   */
  constructor(served: () => Promise<Served> | Served) {
    this.#served = served;
  }

  /** How many are connected. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Serves who came, until the stream is over.
   *
   * @param peer Who it is, proven.
   * @param served What is served to this one; the default is what is served to all.
   */
  async accept(stream: ByteStream, peer: Peer, served = this.#served): Promise<void> {
    if (this.#connections.size >= MOST_CONNECTIONS) return closeQuietly(stream);
    const connection = new Connection(stream, peer, served, () => {
      if (this.#state !== undefined) connection.state(...this.#state);
      void this.#follow();
    });
    this.#connections.add(connection);
    try {
      await connection.run();
    } finally {
      this.#connections.delete(connection);
      if (![...this.#connections].some(({ follows }) => follows)) this.#unfollow();
    }
  }

  /** Tells all who follow that something may have changed. */
  tell(): void {
    for (const connection of this.#connections) connection.tell({ event: "changed" });
  }

  /** Sends everybody away whom somebody has not liked any more: a certificate that was revoked. */
  cut(unwanted: (peer: Peer) => boolean): void {
    for (const connection of this.#connections) {
      if (unwanted(connection.peer)) connection.close();
    }
  }

  /** One subscription for all. */
  async #follow(): Promise<void> {
    if (this.#subscription !== undefined) return;
    const stack = new DisposableStack();
    this.#subscription = stack;
    try {
      const { engine } = await this.#served();
      if (this.#subscription !== stack) return;
      stack.use(engine.subscribe(() => this.tell(), (state, detail) => {
        this.#state = [state, detail];
        for (const connection of this.#connections) connection.state(state, detail);
      }));
    } catch {
      // Who asks for anything else is told why.
      this.#subscription = undefined;
    }
  }

  #unfollow(): void {
    this.#state = undefined;
    this.#subscription?.[Symbol.dispose]();
    this.#subscription = undefined;
  }

  [Symbol.dispose](): void {
    this.#unfollow();
    for (const connection of this.#connections) connection.close();
  }
}

/** One client. */
class Connection {
  readonly peer: Peer;
  readonly #stream: ByteStream;
  readonly #served: () => Promise<Served> | Served;
  readonly #onFollow: () => void;
  readonly #writer: MessageWriter;
  readonly #working = new Set<Promise<void>>();
  #silence: Timer | undefined;
  #beat: Timer | undefined;
  #open = true;
  #told = false;
  /** Whether it wants to be told of changes. */
  follows = false;

  constructor(
    stream: ByteStream,
    peer: Peer,
    served: () => Promise<Served> | Served,
    onFollow: () => void,
  ) {
    this.peer = peer;
    this.#stream = stream;
    this.#served = served;
    this.#onFollow = onFollow;
    this.#writer = new MessageWriter(stream);
  }

  close(): void {
    this.#open = false;
    this.#silence?.cancel();
    this.#beat?.cancel();
    closeQuietly(this.#stream);
  }

  /** Tells a follower; one hint that it has not taken yet is enough. */
  tell(event: unknown): void {
    if (!this.follows || this.#told) return;
    this.#told = true;
    void this.#send(event).finally(() => this.#told = false);
  }

  /** Tells a follower how the server itself hears of changes. */
  state(state: "notify" | "poll" | "away", detail: string): void {
    if (!this.follows) return;
    void this.#send({ event: "state", state, detail: detail.slice(0, 1000) });
  }

  async run(): Promise<void> {
    try {
      this.#patience(PATIENCE);
      const greeting = await readMessage(this.#stream, 1024);
      if (greeting === undefined) return;
      const { protocol } = checkShape(GREETING_SHAPE, greeting);
      await this.#send({ protocol: PROTOCOL, knet: VERSION });
      if (protocol !== PROTOCOL) return;
      this.#beats();
      for (;;) {
        this.#patience(SILENCE);
        const longest = longestRequest(this.peer);
        const message = await readMessage(
          this.#stream,
          ...[longest].filter((one) => one !== undefined),
        );
        if (message === undefined) return;
        this.#take(checkShape(CLIENT_SHAPE, message));
        while (this.#working.size >= MOST_AT_ONCE) await Promise.race(this.#working);
      }
    } catch (error) {
      if (this.#open) log.debug("Sent a client away: {message}", { message: messageOf(error) });
    } finally {
      this.close();
      await Promise.allSettled(this.#working);
    }
  }

  /** Sends the client away if nothing comes for a while. */
  #patience(milliseconds: number): void {
    this.#silence?.cancel();
    this.#silence = after(milliseconds, () => this.close(), { idle: true });
  }

  /** Shows whoever waits that somebody works on it. */
  #beats(): void {
    if (!this.#open) return;
    this.#beat = after(BEAT, () => {
      const wanted = this.#working.size > 0 || this.follows;
      if (wanted && this.#writer.waiting === 0) void this.#send({ event: "beat" });
      this.#beats();
    }, { idle: true });
  }

  async #send(message: unknown): Promise<void> {
    try {
      if (this.#writer.waiting > MOST_WAITING) this.close();
      await this.#writer.write(message);
    } catch (error) {
      if (error instanceof RangeError) throw error;
      this.close();
    }
  }

  #take(message: unknown): void {
    if ("beat" in (message as object)) return;
    const request = message as { id: number; call: string; arguments: unknown };
    const work = this.#answer(request).finally(() => this.#working.delete(work));
    this.#working.add(work);
  }

  async #answer(
    request: {
      readonly id: number;
      readonly call: string;
      readonly arguments: unknown;
    },
  ): Promise<void> {
    const { id, call } = request;
    try {
      if (!isCall(call)) {
        throw new KnetError(
          `Cannot answer the request "${visibleName(call)}": knet ${VERSION} does not know it`,
          { remedy: "Install the same version on all hosts" },
        );
      }
      let given: unknown;
      try {
        given = checkShape<unknown>(CALLS[call].arguments, request.arguments);
      } catch (error) {
        throw new KnetError(`Cannot answer the request "${call}": ${messageOf(error)}`, {
          exitCode: 2,
          cause: error,
        });
      }
      checkAccess(this.peer, call, given);
      const asking = { peer: this.peer, present: () => this.#open };
      const result = await dispatch({ ...request, call }, given, await this.#served(), asking);
      await this.#send({ id, result });
      if (call !== "follow" || this.follows) return;
      this.follows = true;
      this.#onFollow();
    } catch (error) {
      if (!(error instanceof KnetError)) {
        log.error("Cannot answer {call}: {message}", { call, message: messageOf(error) });
      }
      await this.#send({ id, error: sendError(error) });
    }
  }
}
