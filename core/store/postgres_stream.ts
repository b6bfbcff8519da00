/**
 * The way to a Postgres server as a stream of node's, for the `pg` package: TCP, TLS or a Unix socket by Deno's own calls.
 *
 * node:net knows no connect that can be called off, and node:tls never comes to an end on Deno 2.4.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { connectTls } from "./postgres_tls.ts";
import type { PostgresPlace, TlsChoice } from "./postgres_url.ts";

/** Bytes read at once. */
const CHUNK = 65_536;

/** Keeps what was closed twice from being an error. */
function shut(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

/** A stream that connects when `pg` says so. */
export class PostgresStream extends Duplex {
  readonly #place: PostgresPlace;
  readonly #authority: string | undefined;
  readonly #abort = new AbortController();
  readonly #bytes = new Uint8Array(CHUNK);
  #connection: Deno.Conn | undefined;

  /**
   * @param options.authority PEM of an authority beside those that Deno knows.
   * @param options.tls Whether and how to speak TLS; never over a Unix socket.
   */
  constructor(
    place: PostgresPlace,
    private readonly options: {
      readonly tls: TlsChoice | undefined;
      readonly authority: string | undefined;
    },
  ) {
    super();
    this.#place = place;
    this.#authority = options.authority;
  }

  /** Begins; "connect" or "error" tells how it went. */
  connect(): this {
    this.#open().then((connection) => {
      if (this.destroyed) return shut(connection);
      this.#connection = connection;
      this.emit("connect");
      // What was asked for before there was anything to read from.
      this._read();
    }, (error) => this.destroy(error));
    return this;
  }

  async #open(): Promise<Deno.Conn> {
    const { host, port } = this.#place;
    const { signal } = this.#abort;
    if (host.startsWith("/")) {
      return await Deno.connect({ transport: "unix", path: `${host}/.s.PGSQL.${port}` });
    }
    const { tls } = this.options;
    if (tls !== undefined) {
      const encrypted = await connectTls(this.#place, this.#authority, signal, tls.optional);
      if (encrypted !== undefined) return encrypted;
    }
    const connection = await Deno.connect({ hostname: host, port, signal });
    connection.setNoDelay(true);
    connection.setKeepAlive(true);
    return connection;
  }

  override _read(): void {
    this.#connection?.read(this.#bytes).then(
      (count) => {
        if (this.destroyed) return;
        if (count === null) {
          this.push(null);
          this.destroy(); // A server that has nothing more to say is gone.
        } else this.push(Buffer.from(this.#bytes.slice(0, count)));
      },
      (error) => this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    const connection = this.#connection;
    if (connection === undefined) return done(new Error("it is not connected"));
    writeAll(connection, chunk).then(() => done(), done);
  }

  override _final(done: () => void): void {
    done();
    this.destroy();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#abort.abort();
    if (this.#connection !== undefined) shut(this.#connection);
    done(error);
  }

  /** As net.Socket has it; done at connecting. */
  setNoDelay(): this {
    return this;
  }
  /** As net.Socket has it; done at connecting. */
  setKeepAlive(): this {
    return this;
  }
  /** As net.Socket has it. */
  ref(): this {
    return this;
  }
  /** As net.Socket has it. */
  unref(): this {
    return this;
  }
}

async function writeAll(connection: Deno.Conn, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) done += await connection.write(chunk.subarray(done));
}
