/**
 * This computer's end of the serial line to a machine: scripts go one way, what came of them the other, several at a time.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Outcome } from "../support/exec.ts";

/** An open line. */
export class Line {
  readonly #socket: Deno.UnixConn;
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  #asked = 0;
  /** How often somebody began to listen at the other end: once a start of the machine. */
  boots = 0;

  private constructor(socket: Deno.UnixConn) {
    this.#socket = socket;
    this.#read().catch(() => {}); // Closed.
  }

  /** Opens the line at its socket. */
  static async open(path: string): Promise<Line> {
    return new Line(await Deno.connect({ transport: "unix", path }));
  }

  /**
   * Has a script run.
   *
   * @throws {Error} if there is no answer in time, in milliseconds, or the machine starts again meanwhile.
   */
  async ask(script: string, timeout: number): Promise<Outcome> {
    const word = `w${++this.#asked}`;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    this.#waiting.set(word, resolve);
    const timer = setTimeout(
      () => reject(new Error(`No answer within ${timeout} ms to: ${script}`)),
      timeout,
    );
    try {
      await this.#write(`${word} ${Buffer.from(script).toString("base64")}\n`);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(word);
    }
  }

  /** Hangs up. */
  close(): void {
    this.#socket.close();
  }

  async #write(text: string): Promise<void> {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(await this.#socket.write(bytes));
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65536);
    let rest = "";
    for (let got; (got = await this.#socket.read(buffer)) !== null;) {
      const lines = (rest + decoder.decode(buffer.subarray(0, got), { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#hear(line);
    }
  }

  #hear(line: string): void {
    const [word = "", code, stdout = "", stderr = ""] = line.split(" ");
    if (word === "up") this.boots++;
    else {this.#waiting.get(word)?.({
        code: Number(code),
        stdout: text(stdout),
        stderr: text(stderr),
      });}
  }
}

/** Text in base64 behind a letter. */
function text(field: string): string {
  return Buffer.from(field.slice(1), "base64").toString();
}
