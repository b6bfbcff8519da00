/**
 * Texts whose characters are bytes (Latin-1), and how one is found in what comes piece by piece.
 *
 * @module
 */

/** The bytes of a text of such characters. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The text of bytes. `TextDecoder("latin1")` is windows-1252, which has other characters from 128 to 159. */
export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return text;
}

/** Looks for a text in pieces, each of which is looked at once. */
export class Finder {
  readonly #text: string;
  /** The end of what came, which the text may begin in. */
  #tail = "";
  #found: boolean;

  constructor(text: string) {
    this.#text = text;
    this.#found = text === "";
  }

  /** Whether it was in what came so far. */
  get found(): boolean {
    return this.#found;
  }

  /** Takes a piece. */
  push(piece: string): void {
    if (this.#found) return;
    const together = this.#tail + piece;
    this.#found = together.includes(this.#text);
    this.#tail = together.slice(Math.max(0, together.length - this.#text.length + 1));
  }
}
