/**
 * TLS over a TCP connection: a stream of bytes with somebody proven at its other end.
 *
 * What is read is waited for by whoever reads, what is written by whoever writes: a side that is slow slows the other, and nothing
 * piles up between them.
 *
 * @module
 */
import type { OpensslError } from "../../ffi/openssl/openssl.ts";
import type { TlsContext, TlsSession } from "../../ffi/openssl/session.ts";
import { after } from "../base/clock.ts";
import { type ByteStream, closeQuietly, writeAll } from "../store/dqlite/stream.ts";

/** Bytes that are taken from the network at a time. */
const CHUNK = 16_384;
/** Milliseconds that the other side has to take the last bytes. */
const FAREWELL = 500;

/** A TLS connection after its handshake. */
export class TlsStream implements ByteStream {
  readonly #connection: ByteStream;
  readonly #session: TlsSession;
  readonly #chunk = new Uint8Array(new ArrayBuffer(CHUNK));
  #sending: Promise<void> = Promise.resolve();
  #reading: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(connection: ByteStream, session: TlsSession) {
    this.#connection = connection;
    this.#session = session;
  }

  /**
   * Agrees with the other side. The connection is the stream's from now on, and closed if it fails.
   *
   * @param patience Milliseconds that it may take.
   * @throws {TlsRefusal} if the other side is not believed, does not believe, or speaks something else; whatever the connection throws.
   */
  static async begin(
    connection: ByteStream,
    context: TlsContext,
    side: "server" | "client",
    patience: number,
  ): Promise<TlsStream> {
    const stream = new TlsStream(connection, context.session(side));
    let late = false;
    const timer = after(patience, () => {
      late = true;
      closeQuietly(connection);
    }, { idle: true });
    try {
      await stream.#handshake();
      return stream;
    } catch (error) {
      stream.close();
      if (late) throw new TlsRefusal("late", "it took too long", { cause: error });
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** The certificate at the other end, DER; undefined if it has none. */
  peerCertificate(): Uint8Array<ArrayBuffer> | undefined {
    return this.#session.peerCertificate();
  }

  /** See {@linkcode TlsSession.sentCertificates}. */
  sentCertificates(): Uint8Array<ArrayBuffer>[] {
    return this.#session.sentCertificates();
  }

  /**
   * Reads what there is; null at the other side's end.
   *
   * @throws {TlsRefusal} if the stream is cut or forged, or the other side refuses.
   */
  read(into: Uint8Array): Promise<number | null> {
    const read = this.#reading.then(() => this.#readNext(into));
    this.#reading = read.catch(() => {});
    return read;
  }

  /** Writes bytes, some of them at least, and waits until they are on their way. */
  async write(bytes: Uint8Array): Promise<number> {
    if (bytes.length === 0) return 0;
    this.#open();
    const count = this.#session.write(bytes.subarray(0, CHUNK) as Uint8Array<ArrayBuffer>);
    await this.#flush();
    return count;
  }

  /**
   * Ends the stream: the other side is told, and has half a second to take what it did not yet. What it still sends is read and
   * forgotten: closing before would reset the connection, and with it what is on its way to the other side.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const timer = after(FAREWELL, () => this.#drop(), { idle: true });
    this.#session.finish();
    void this.#flush().then(() => this.#reading).then(async () => {
      while (await this.#connection.read(this.#chunk) !== null);
    }).catch(() => {}).finally(() => {
      timer.cancel();
      this.#drop();
    });
  }

  /** Ends the stream at once. */
  destroy(): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    closeQuietly(this.#connection);
    this.#session[Symbol.dispose]();
  }

  #open(): void {
    if (this.#closed) throw new Deno.errors.BadResource("The connection is closed");
  }

  async #handshake(): Promise<void> {
    for (;;) {
      const step = this.#attempt(() => this.#session.handshake());
      await this.#flush();
      if (step === "done") return;
      if (step === "end" || !await this.#receive()) throw new TlsRefusal("cut", "it hung up");
    }
  }

  async #readNext(into: Uint8Array): Promise<number | null> {
    if (into.length === 0) return 0;
    for (;;) {
      this.#open();
      const got = this.#attempt(() => this.#session.read(into as Uint8Array<ArrayBuffer>));
      // Keys that are changed are answered.
      await this.#flush();
      if (got === "end") return null;
      if (got !== "more") return got;
      if (!await this.#receive()) throw new TlsRefusal("cut", "the connection was cut");
    }
  }

  /** Takes bytes from the network; false at their end. */
  async #receive(): Promise<boolean> {
    const count = await this.#connection.read(this.#chunk);
    if (count === null) return false;
    this.#open();
    this.#session.feed(this.#chunk.subarray(0, count));
    return true;
  }

  /** Sends what the session has for the other side, in its order. */
  #flush(): Promise<void> {
    const sent = this.#sending.then(async () => {
      for (let piece; (piece = this.#session.take()) !== undefined;) {
        await writeAll(this.#connection, piece);
      }
    });
    this.#sending = sent.catch(() => {});
    return sent;
  }

  #attempt<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      const fault = this.#closed ? undefined : this.#session.fault();
      // The alert that says why is on its way, if the network takes it.
      void this.#flush().catch(() => {});
      throw refusalOf(error as OpensslError, fault);
    }
  }
}

/**
 * Why two sides do not come together: `unbelieved` this side does not believe the other's certificate; `unbelieving` the other does not
 * believe this side's; `expired` the same, for its time; `late` no answer in time; `cut` it hung up; `garbled` it speaks something else.
 */
export type RefusalKind =
  | "unbelieved"
  | "unbelieving"
  | "expired"
  | "expired-there"
  | "late"
  | "cut"
  | "garbled";

/** The two sides of a connection do not come together. */
export class TlsRefusal extends Error {
  /** Always "TlsRefusal". */
  override readonly name = "TlsRefusal";

  /** @param message What is the matter, after a colon. */
  constructor(readonly kind: RefusalKind, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Alerts (RFC 8446, section 6.2) are reasons from 1000 on. */
const ALERT = 1000;
const ALERT_CERTIFICATE_EXPIRED = ALERT + 45;
/** bad_certificate, unsupported_, revoked, expired, unknown, then unknown_ca, access_denied; decrypt_error; certificate_required. */
const ALERTS_OF_CERTIFICATES = [42, 43, 44, 45, 46, 48, 49, 51, 116].map((alert) => ALERT + alert);

function refusalOf(error: OpensslError, fault: string | undefined): Error {
  if (error.name !== "OpensslError") return error;
  const options = { cause: error };
  if (fault !== undefined) {
    return /expired|not yet valid/.test(fault)
      ? new TlsRefusal("expired-there", `its certificate: ${fault}`, options)
      : new TlsRefusal("unbelieved", `its certificate: ${fault}`, options);
  }
  if (error.reason === ALERT_CERTIFICATE_EXPIRED) {
    return new TlsRefusal("expired", "it says that this host's certificate has expired", options);
  }
  if (ALERTS_OF_CERTIFICATES.includes(error.reason)) {
    return new TlsRefusal(
      "unbelieving",
      "it does not believe this host's certificate",
      options,
    );
  }
  return new TlsRefusal(
    "garbled",
    `it does not speak TLS 1.3 as knet does: ${error.message}`,
    options,
  );
}
