/**
 * One connection of a client to a server: many requests at once, each with its answer, and events between.
 *
 * @module
 */
import { after, monotonicClock, type Timer } from "../../base/clock.ts";
import { KnetError, messageOf, StoreAwayError } from "../../base/error.ts";
import { checkShape } from "../../base/shape.ts";
import { VERSION } from "../../base/version.ts";
import { type ByteStream, closeQuietly } from "../dqlite/stream.ts";
import type { Request } from "./calls.ts";
import { receiveError } from "./errors.ts";
import { MessageWriter, PROTOCOL, readMessage } from "./messages.ts";
import { GREETING_SHAPE, SERVER_SHAPE, type ServerMessage } from "./shapes.ts";

/** Milliseconds between a follower's own signs of life. */
const SIGN = 20_000;
/** Milliseconds within which a follower hears something: the server's beats come every second. */
const SILENCE = 10_000;
/** Milliseconds that an answer may take though the server says all the time that it works on it: it waits for other writers. */
const LONGEST_WORK = 65_000;

/** The connection ended before the answer came: the request was answered, or it was not. */
export class LostAnswerError extends StoreAwayError {}

interface Waiting {
  readonly began: number;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A connection that greeted and was greeted. */
export class Conversation {
  readonly #stream: ByteStream;
  readonly #location: string;
  readonly #writer: MessageWriter;
  readonly #waiting = new Map<number, Waiting>();
  readonly #deadline: number;
  readonly #end = Promise.withResolvers<string>();
  #onEvent: ((event: Extract<ServerMessage, { event: string }>) => void) | undefined;
  #next = 1;
  #heard = monotonicClock();
  #watch: Timer | undefined;
  #sign: Timer | undefined;
  #idle: Timer | undefined;
  #dead = false;
  /** Why it is to end. */
  #retired: string | undefined;

  private constructor(stream: ByteStream, location: string, deadline: number) {
    this.#stream = stream;
    this.#location = location;
    this.#deadline = deadline;
    this.#writer = new MessageWriter(stream);
  }

  /**
   * Greets.
   *
   * @param patience Milliseconds that the greeting may take.
   * @param deadline Milliseconds that the server may be silent while an answer is due.
   * @throws {StoreAwayError} if nothing comes. {KnetError} if it speaks otherwise.
   */
  static async begin(
    stream: ByteStream,
    location: string,
    patience: number,
    deadline: number,
  ): Promise<Conversation> {
    let late = false;
    const timer = after(patience, () => {
      late = true;
      closeQuietly(stream);
    });
    const made = new Conversation(stream, location, deadline);
    try {
      await made.#writer.write({ protocol: PROTOCOL, knet: VERSION });
      const greeting = await readMessage(stream, 1024);
      if (greeting === undefined) throw new StoreAwayError("it sends us away");
      const { protocol, knet } = checkShape(GREETING_SHAPE, greeting);
      if (protocol !== PROTOCOL) {
        throw new KnetError(
          `Cannot use the store ${location}: the agent there is knet ${knet}, this is ${VERSION}, and they do not understand each other`,
          { remedy: "Install the same version on all hosts" },
        );
      }
    } catch (error) {
      closeQuietly(stream);
      if (late) throw new StoreAwayError("no answer");
      throw error instanceof KnetError ? error : new StoreAwayError(messageOf(error));
    } finally {
      timer.cancel();
    }
    void made.#listen();
    return made;
  }

  /** Whether it is over. */
  get dead(): boolean {
    return this.#dead;
  }

  /** Why it is over, when it is. */
  get ended(): Promise<string> {
    return this.#end.promise;
  }

  /**
   * Asks.
   *
   * @throws {LostAnswerError} if the connection ends before the answer comes. What the server threw.
   */
  ask(request: Omit<Request, "id">): Promise<unknown> {
    if (this.#dead) return Promise.reject(new LostAnswerError("the connection is closed"));
    this.#idle?.cancel();
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#waiting.size === 0) this.#heard = monotonicClock();
    this.#waiting.set(id, { began: monotonicClock(), resolve, reject });
    this.#look();
    this.#writer.write({ id, ...request }).catch((error) => {
      if (!(error instanceof RangeError)) return this.close(messageOf(error));
      this.#waiting.delete(id);
      reject(new KnetError(`Cannot ask the store ${this.#location}: ${messageOf(error)}`));
    });
    return promise;
  }

  /** Tells of events from now on; the connection stays. */
  listen(onEvent: (event: Extract<ServerMessage, { event: string }>) => void): void {
    this.#onEvent = onEvent;
    this.#look();
    const sign = () => {
      if (this.#dead) return;
      this.#writer.write({ beat: true }).catch((error) => this.close(messageOf(error)));
      this.#sign = after(SIGN, sign, { idle: true });
    };
    this.#sign = after(SIGN, sign, { idle: true });
  }

  /** Closes it if nobody asks for a while, and nobody listens. */
  rest(milliseconds: number): void {
    this.#idle?.cancel();
    if (this.#waiting.size > 0 || this.#onEvent !== undefined) return;
    this.#idle = after(milliseconds, () => this.close("nobody asked"), { idle: true });
  }

  /** Ends it when all that was asked is answered. */
  retire(why: string): void {
    if (this.#waiting.size === 0) this.close(why);
    else this.#retired = why;
  }

  /** Ends it; what waits for an answer gets none. */
  close(why: string): void {
    if (this.#dead) return;
    this.#dead = true;
    for (const timer of [this.#watch, this.#sign, this.#idle]) timer?.cancel();
    closeQuietly(this.#stream);
    for (const { reject } of this.#waiting.values()) reject(new LostAnswerError(why));
    this.#waiting.clear();
    this.#end.resolve(why);
  }

  /** Looks again and again whether the server lives. */
  #look(): void {
    this.#watch?.cancel();
    const waits = this.#waiting.size > 0;
    if (this.#dead || !waits && this.#onEvent === undefined) return;
    const now = monotonicClock();
    const patience = waits ? this.#deadline : SILENCE;
    const [oldest] = this.#waiting.values();
    const left = Math.min(
      this.#heard + patience - now,
      oldest === undefined ? Infinity : oldest.began + LONGEST_WORK - now,
    );
    if (left <= 0) return this.close("no answer");
    // What the server waits for keeps the program; who only listens does not.
    this.#watch = after(left + 1, () => this.#look(), { idle: !waits });
  }

  async #listen(): Promise<void> {
    const hear = () => {
      this.#heard = monotonicClock();
    };
    try {
      for (;;) {
        const message = await readMessage(this.#stream, undefined, hear);
        if (message === undefined) return this.close("the other side closed the connection");
        hear();
        const heard = checkShape(SERVER_SHAPE, message);
        if ("event" in heard) this.#onEvent?.(heard);
        else this.#answer(heard);
      }
    } catch (error) {
      this.close(messageOf(error));
    }
  }

  #answer(answer: Exclude<ServerMessage, { event: string }>): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(receiveError(answer.error, this.#location));
    else waiting?.resolve(answer.result);
    if (this.#retired !== undefined) this.retire(this.#retired);
  }
}
