/**
 * Looks whether a real server answers `GET` by a status from 200 to 399, or what is wanted in its place, whatever 1xx it sends before
 * (RFC 9110, 15.2). No more of the answer is read than up to that status, or up to the text that its body has to hold.
 *
 * @module
 */
import type { HttpAsk } from "../services/check_kinds.ts";
import { isWanted } from "../services/check_status.ts";
import { bytesOf, Finder } from "./bytes.ts";
import { converse, MOST_BYTES, type Script, type Tls } from "./conversation.ts";
import { HttpBody } from "./http_body.ts";
import { PASSED, type ProbeResult, type ProbeTarget } from "./probe.ts";

/** Bytes that are read for the status at most: interim answers (103 Early Hints has many fields) come before the one that counts. */
const MOST_HEAD = 16 * 1024;
/** A status line and what may follow it: `HTTP/1.1 200 OK`, or without words as some servers have it. */
const STATUS = /^HTTP\/1\.[01] ([0-9]{3})(?=[ \r\n]|$)/;
/** The empty line behind a head; some servers leave the carriage return away. */
const HEAD_END = /\r?\n\r?\n/;

/**
 * The status that counts in what has come of an answer so far.
 *
 * @param text one character a byte.
 * @returns "more" if it is not there yet, "other" if it is no HTTP/1 answer.
 */
export function finalStatus(text: string): number | "more" | "other" {
  let rest = text;
  for (;;) {
    // Nothing can be said of the line until its status is whole.
    if (rest.length < "HTTP/1.1 200".length) {
      return /^(H|$)/.test(rest) && "HTTP/1.".startsWith(rest.slice(0, 7)) ? "more" : "other";
    }
    const found = STATUS.exec(rest.slice(0, 13));
    if (found === null) return "other";
    const status = Number(found[1]);
    // After 101 another protocol follows, and no other status.
    if (status === 101 || status >= 200) return status;
    const end = HEAD_END.exec(rest);
    if (end === null) return "more";
    rest = rest.slice(end.index + end[0].length);
  }
}

/** The head of the status that counts, and what has come behind it; undefined if that head is not whole. */
function finalHead(text: string): { head: string; body: string } | undefined {
  let rest = text;
  for (;;) {
    const end = HEAD_END.exec(rest);
    if (end === null) return undefined;
    const head = rest.slice(0, end.index + end[0].length);
    rest = rest.slice(head.length);
    const status = finalStatus(head);
    if (typeof status === "number") return { head, body: rest };
  }
}

const no = (detail: string): ProbeResult => ({ passed: false, detail });

/** Judges an answer. */
class HttpScript implements Script {
  readonly send: Uint8Array<ArrayBuffer>;
  readonly #ask: HttpAsk;
  readonly #finder: Finder;
  /** What came until the body begins. */
  #head = "";
  #body: HttpBody | undefined;

  /** @param host What the field Host says. */
  constructor(ask: HttpAsk, host: string) {
    this.#ask = ask;
    this.#finder = new Finder(ask.body ?? "");
    this.send = bytesOf([
      `GET ${ask.path} HTTP/1.1`,
      `Host: ${host}`,
      ...["User-Agent: knet", "Accept: */*", "Connection: close"],
      ...(ask.body === undefined ? [] : ["Accept-Encoding: identity"]),
      "\r\n",
    ].join("\r\n"));
  }

  judge(piece: string): ProbeResult | undefined {
    if (piece === "") return undefined;
    if (this.#body !== undefined) return this.#judgeBody(piece);
    this.#head += piece;
    const status = finalStatus(this.#head.slice(0, MOST_HEAD));
    if (status === "other") return no("the answer is not HTTP");
    const isFull = this.#head.length >= MOST_HEAD;
    if (status === "more") return isFull ? this.end(true) : undefined;
    if (!isWanted(status, this.#ask.status)) return no(`status ${status}`);
    if (this.#ask.body === undefined) return PASSED;
    const found = finalHead(this.#head);
    if (found === undefined) {
      return isFull ? no(`the answer's head is longer than ${MOST_HEAD} bytes`) : undefined;
    }
    this.#body = new HttpBody(found.head);
    return this.#judgeBody(found.body);
  }

  #judgeBody(piece: string): ProbeResult | undefined {
    this.#finder.push(this.#body!.push(piece));
    if (this.#finder.found) return PASSED;
    return this.#body!.ended ? this.end(false) : undefined;
  }

  end(full: boolean): ProbeResult {
    if (this.#body !== undefined) {
      const where = full ? `the answer's first ${MOST_BYTES} bytes lack` : "the body lacks";
      return no(`${where} what is expected`);
    }
    if (full) return no(`the answer has no status in its first ${MOST_HEAD} bytes`);
    return no(this.#head === "" ? "no answer" : "the answer ends before its status");
  }
}

/** How an address and port stand in the field Host (RFC 9110, 7.2). */
function literal({ address, port }: ProbeTarget): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** What the field Host says if the check does not. */
function hostOf(target: ProbeTarget, { host, sni }: HttpAsk & { readonly sni?: string }): string {
  return host ?? sni ?? literal(target);
}

/** Looks by a request, over TLS if that is given. */
export function httpProbe(
  target: ProbeTarget,
  ask: HttpAsk & { readonly sni?: string },
  tls: Tls | undefined,
  done: (result: ProbeResult) => void,
): () => void {
  return converse(target, new HttpScript(ask, hostOf(target, ask)), tls, done);
}
