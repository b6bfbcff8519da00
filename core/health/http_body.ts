/**
 * The body of an HTTP answer piece by piece (RFC 9112, 6 and 7.1): where it ends, and without what frames it.
 *
 * @module
 */

/** Characters of a chunk's first line; extensions are seldom and short. */
const MOST_LINE = 1024;

/** Reads a body. A character is a byte. */
export class HttpBody {
  /** Bytes that are left of the body, or of the chunk. */
  #left: number;
  readonly #chunked: boolean;
  /** What has come of a chunk's first line. */
  #line = "";
  #ended = false;

  /** @param head The answer's head, with its empty line. */
  constructor(head: string) {
    this.#chunked = /^transfer-encoding:.*\bchunked[ \t]*\r?$/im.test(head);
    const length = /^content-length:[ \t]*([0-9]{1,15})[ \t]*\r?$/im.exec(head)?.[1];
    this.#left = this.#chunked ? 0 : length === undefined ? Infinity : Number(length);
    this.#ended = !this.#chunked && this.#left === 0;
  }

  /** Whether nothing more belongs to it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes what came, and returns what of it is the body's. */
  push(piece: string): string {
    let body = "";
    for (let at = 0; at < piece.length && !this.#ended;) {
      if (this.#left > 0) {
        const part = piece.slice(at, at + this.#left);
        body += part;
        at += part.length;
        this.#left -= part.length;
        this.#ended = this.#left === 0 && !this.#chunked;
        continue;
      }
      const end = piece.indexOf("\n", at);
      const part = piece.slice(at, end === -1 ? undefined : end + 1);
      at += part.length;
      this.#line += part;
      if (end !== -1) this.#beginChunk();
      else if (this.#line.length > MOST_LINE) this.#ended = true;
    }
    return body;
  }

  #beginChunk(): void {
    const line = this.#line.trim();
    this.#line = "";
    // The empty line behind the chunk before.
    if (line === "") return;
    this.#left = /^[0-9a-f]{1,8}(?=[ \t;]|$)/i.test(line) ? parseInt(line, 16) : 0;
    this.#ended = this.#left === 0;
  }
}
