/**
 * Answers HTTP requests, one a connection, within bounds: of time, of length, of connections. The runtime's own server has none of
 * them, and whoever may connect could use up the agent's descriptors, or keep it from stopping.
 *
 * @module
 */
import { after, sleep } from "../base/clock.ts";
import { LONGEST_HEAD, parseRequest } from "./http_request.ts";

/** Milliseconds that a request may take to arrive, and an answer to be taken. */
const PATIENCE = 10_000;
/** Milliseconds after which an accept that failed is tried again. */
const BREATH = 100;

/** An answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The default is text. */
  readonly type?: string;
}

/** A request that made sense. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly host: string | undefined;
  /** Its body; "" without one, and where none is taken. */
  readonly body?: string;
  /** Whether its patience has not run out: nobody hears the answer otherwise. Absent: it has not. */
  readonly wanted?: () => boolean;
}

/** What a listener bears. */
export interface ListenerBounds {
  /** Connections at once; for one more, the oldest that has asked nothing yet is closed, else that one. */
  readonly connections: number;
  /** Bytes of a body. The default is 0: bodies are not read. */
  readonly body?: number;
  /** Milliseconds that a request and its answer may take. */
  readonly patience?: number;
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** The answer as it goes out. */
function encode({ status, body, type = "text/plain; charset=utf-8" }: HttpAnswer, head: boolean) {
  const bytes = new TextEncoder().encode(body);
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? "Unknown"}`,
    `Content-Type: ${type}`,
    `Content-Length: ${bytes.length}`,
    "X-Content-Type-Options: nosniff",
    "Connection: close",
  ];
  const start = new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
  if (head) return start;
  const whole = new Uint8Array(start.length + bytes.length);
  whole.set(start);
  whole.set(bytes, start.length);
  return whole;
}

/** A listener and its connections. */
export class HttpListener implements AsyncDisposable {
  readonly #listener: Deno.Listener;
  readonly #bounds: ListenerBounds;
  readonly #answer: (asked: Asked) => Promise<HttpAnswer>;
  readonly #open = new Set<Deno.Conn>();
  /** Those of which no whole request has come yet, the oldest first. */
  readonly #silent = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;
  #closed = false;

  /**
   * Answers until disposed.
   *
   * @param bounds a number is that of connections at once.
   */
  constructor(
    listener: Deno.Listener,
    bounds: number | ListenerBounds,
    answer: (asked: Asked) => Promise<HttpAnswer>,
  ) {
    this.#listener = listener;
    this.#bounds = typeof bounds === "number" ? { connections: bounds } : bounds;
    this.#answer = answer;
    this.#accepting = this.#accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#open) shut(connection);
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      try {
        const connection = await this.#listener.accept();
        if (this.#hasRoom()) void this.#serve(connection);
        else shut(connection);
      } catch {
        // Out of descriptors, or whoever connected hung up again.
        if (!this.#closed) await sleep(BREATH);
      }
    }
  }

  /** Whoever holds connections and says nothing keeps nobody out who does. */
  #hasRoom(): boolean {
    if (this.#open.size < this.#bounds.connections) return true;
    const [oldest] = this.#silent;
    if (oldest === undefined) return false;
    this.#forget(oldest);
    return true;
  }

  #forget(connection: Deno.Conn): void {
    this.#open.delete(connection);
    this.#silent.delete(connection);
    shut(connection);
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    this.#open.add(connection);
    this.#silent.add(connection);
    let late = false;
    const timer = after(this.#bounds.patience ?? PATIENCE, () => {
      late = true;
      shut(connection);
    }, { idle: true });
    try {
      const head = await readHead(connection);
      this.#silent.delete(connection);
      if (head === undefined) return;
      const asked = head.text === "" ? { refused: 431 } as const : parseRequest(head.text);
      const refuse = (status: number) => ({ status, body: `${REASONS[status]}\n` });
      const { body: most = 0 } = this.#bounds;
      const answer = "refused" in asked
        ? refuse(asked.refused)
        : most === 0
        ? await this.#answer(asked)
        : (asked.length ?? 0) > most
        ? refuse(413)
        : await this.#answer({
          ...asked,
          wanted: () => !late,
          body: await readBody(connection, head.rest, asked.length),
        });
      const bytes = encode(answer, "method" in asked && asked.method === "HEAD");
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
      await connection.closeWrite();
      // What the other side sends on would turn the answer into a reset.
      const rest = new Uint8Array(LONGEST_HEAD);
      for (let n = 0; n < 16 && await connection.read(rest) !== null; n++);
    } catch {
      // It hung up, or took too long.
    } finally {
      timer.cancel();
      this.#forget(connection);
    }
  }
}

/** Reads up to the empty line: the head without it, "" if it is too long, and what came behind; undefined if it never ends. */
async function readHead(
  connection: Deno.Conn,
): Promise<{ text: string; rest: Uint8Array } | undefined> {
  const decoder = new TextDecoder("latin1");
  const bytes = new Uint8Array(LONGEST_HEAD);
  for (let have = 0; have < bytes.length;) {
    const count = await connection.read(bytes.subarray(have));
    if (count === null) return undefined;
    have += count;
    const text = decoder.decode(bytes.subarray(0, have));
    const end = /\r?\n\r?\n/.exec(text);
    // Latin-1: a character is a byte.
    if (end !== null) {
      return { text: text.slice(0, end.index), rest: bytes.slice(end.index + end[0].length, have) };
    }
  }
  return { text: "", rest: new Uint8Array() };
}

/**
 * Reads a body of that many bytes.
 *
 * @param start what is there of it.
 * @throws {Error} if the other side hangs up before.
 */
async function readBody(connection: Deno.Conn, start: Uint8Array, length = 0): Promise<string> {
  const bytes = new Uint8Array(length);
  bytes.set(start.subarray(0, length));
  for (let have = Math.min(start.length, length); have < length;) {
    const count = await connection.read(bytes.subarray(have));
    if (count === null) throw new Error("it hung up");
    have += count;
  }
  return new TextDecoder().decode(bytes);
}

function shut(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
