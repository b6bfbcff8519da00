/**
 * TLS 1.3 (RFC 8446; 1.2 where it is asked for) between memory and memory: what came from the other side is fed in, what is for it is taken out, and who carries
 * both is not known here.
 *
 * Sessions are never resumed: a resumed one would not look at certificates again.
 *
 * @module
 */
import { cString } from "../libc.ts";
import { derOf, privateKey, x509 } from "./certificate.ts";
import { openssl, OpensslError, present, succeeded, takeError } from "./openssl.ts";

/** openssl/ssl.h */
const SSL_CTRL_MODE = 33;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const SSL_CTRL_CHAIN_CERT = 89;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const SSL_MODE_ENABLE_PARTIAL_WRITE = 1;
const SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER = 2;
const SSL_MODE_RELEASE_BUFFERS = 16;
const SSL_SESS_CACHE_OFF = 0;
const SSL_VERIFY_NONE = 0;
const SSL_VERIFY_PEER = 1;
const SSL_ERROR_SSL = 1;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_ZERO_RETURN = 6;
/** openssl/tls1.h */
const TLS1_2_VERSION = 0x0303;
const TLS1_3_VERSION = 0x0304;
const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const TLSEXT_NAMETYPE_HOST_NAME = 0n;
/** openssl/x509_vfy.h */
const X509_V_OK = 0n;

/** Who one is, and whom one believes. */
export interface TlsIdentity {
  /** The authority's certificate, DER: who is certified by it is believed, and nobody else. Absent: everybody is taken, and has to be looked at. */
  readonly authority?: Uint8Array<ArrayBuffer>;
  /** The own certificate, DER, and its key, PKCS #8. */
  readonly own?: {
    readonly certificate: Uint8Array<ArrayBuffer>;
    readonly key: Uint8Array<ArrayBuffer>;
  };
  /** Whether TLS 1.2 will do. */
  readonly older?: boolean;
}

/** What sessions of one kind share. */
export class TlsContext implements Disposable {
  #context: Deno.PointerObject | undefined;

  /** @throws {OpensslError} if a certificate or key is none, or they do not belong together. */
  constructor({ authority, own, older = false }: TlsIdentity) {
    const ssl = openssl();
    ssl.ERR_clear_error();
    const context = present(ssl.SSL_CTX_new(ssl.TLS_method()), "prepare TLS");
    this.#context = context;
    using held = new DisposableStack();
    try {
      succeeded(
        ssl.SSL_CTX_ctrl(
          context,
          SSL_CTRL_SET_MIN_PROTO_VERSION,
          BigInt(older ? TLS1_2_VERSION : TLS1_3_VERSION),
          null,
        ),
        "ask for TLS 1.3",
      );
      ssl.SSL_CTX_ctrl(
        context,
        SSL_CTRL_MODE,
        BigInt(
          SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
            SSL_MODE_RELEASE_BUFFERS,
        ),
        null,
      );
      ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, BigInt(SSL_SESS_CACHE_OFF), null);
      succeeded(ssl.SSL_CTX_set_num_tickets(context, 0n), "forbid resumption");
      const root = authority && held.adopt(x509(authority), ssl.X509_free);
      if (root !== undefined) {
        succeeded(
          ssl.X509_STORE_add_cert(ssl.SSL_CTX_get_cert_store(context), root),
          "believe the authority",
        );
      }
      ssl.SSL_CTX_set_verify(context, root === undefined ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, null);
      if (own !== undefined) {
        const certificate = held.adopt(x509(own.certificate), ssl.X509_free);
        const key = held.adopt(privateKey(own.key), ssl.EVP_PKEY_free);
        succeeded(ssl.SSL_CTX_use_certificate(context, certificate), "use the certificate");
        succeeded(ssl.SSL_CTX_use_PrivateKey(context, key), "use the key");
        succeeded(ssl.SSL_CTX_check_private_key(context), "use the key");
        if (root !== undefined) {
          // Sent as well, for those that know its hash alone; 1: the context keeps a reference of its own.
          succeeded(ssl.SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1n, root), "show the authority");
        }
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Begins a session. What is begun goes on when the context is freed.
   *
   * @param serverName What a client asks for (RFC 6066, section 3), of up to 255 characters; no address.
   */
  session(side: "server" | "client", serverName?: string): TlsSession {
    if (this.#context === undefined) throw new TypeError("Cannot begin TLS: its context is freed");
    const session = new TlsSession(this.#context, side);
    if (serverName !== undefined) session.askFor(serverName);
    return session;
  }

  /** Frees the context. */
  [Symbol.dispose](): void {
    if (this.#context === undefined) return;
    openssl().SSL_CTX_free(this.#context);
    this.#context = undefined;
  }
}

/** How far a step got: all of it, no further without more from the other side, or to the other side's end. */
export type Step = "done" | "more" | "end";

/** The most that is taken out at once, bytes: one record of TLS and what goes with it. */
const PIECE = 17_408;

/** One connection. */
export class TlsSession implements Disposable {
  #ssl: Deno.PointerObject | undefined;
  /** Of the session's: freed with it. */
  readonly #incoming: Deno.PointerObject;
  readonly #outgoing: Deno.PointerObject;
  readonly #piece = new Uint8Array(new ArrayBuffer(PIECE));

  /** See {@linkcode TlsContext.session}. */
  constructor(context: Deno.PointerObject, side: "server" | "client") {
    const ssl = openssl();
    ssl.ERR_clear_error();
    this.#ssl = present(ssl.SSL_new(context), "begin TLS");
    this.#incoming = present(ssl.BIO_new(ssl.BIO_s_mem()), "begin TLS");
    this.#outgoing = present(ssl.BIO_new(ssl.BIO_s_mem()), "begin TLS");
    ssl.SSL_set_bio(this.#ssl, this.#incoming, this.#outgoing);
    if (side === "server") ssl.SSL_set_accept_state(this.#ssl);
    else ssl.SSL_set_connect_state(this.#ssl);
  }

  /** Asks the server for a name, before the handshake. */
  askFor(name: string): void {
    const asked = openssl().SSL_ctrl(
      this.#alive(),
      SSL_CTRL_SET_TLSEXT_HOSTNAME,
      TLSEXT_NAMETYPE_HOST_NAME,
      cString(name),
    );
    succeeded(asked, `ask for the server "${name}"`);
  }

  /** Gives what came from the other side. */
  feed(bytes: Uint8Array<ArrayBuffer>): void {
    this.#alive();
    const { BIO_write } = openssl();
    if (BIO_write(this.#incoming, bytes, bytes.length) !== bytes.length) {
      throw takeError("keep what came by TLS");
    }
  }

  /** Takes what is for the other side; undefined if there is nothing. The bytes are valid until the next call. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#ssl === undefined) return undefined;
    const count = openssl().BIO_read(this.#outgoing, this.#piece, PIECE);
    return count > 0 ? this.#piece.subarray(0, count) : undefined;
  }

  /**
   * Goes on with the handshake.
   *
   * @throws {OpensslError} if it fails; what there is to take tells the other side.
   */
  handshake(): Step {
    const ssl = this.#alive();
    openssl().ERR_clear_error();
    return this.#step(openssl().SSL_do_handshake(ssl), "agree on TLS");
  }

  /**
   * Reads what the other side wrote.
   *
   * @returns how many bytes, or why there are none.
   * @throws {OpensslError} if what came was forged or cut, or the other side sent an alert.
   */
  read(into: Uint8Array<ArrayBuffer>): number | "more" | "end" {
    const ssl = this.#alive();
    openssl().ERR_clear_error();
    const count = openssl().SSL_read(ssl, into, into.length);
    if (count > 0) return count;
    const step = this.#step(count, "read by TLS");
    return step === "done" ? "more" : step;
  }

  /**
   * Writes bytes, a record of them at most.
   *
   * @returns how many were taken.
   * @throws {OpensslError} if the session is broken.
   */
  write(bytes: Uint8Array<ArrayBuffer>): number {
    const ssl = this.#alive();
    openssl().ERR_clear_error();
    const count = openssl().SSL_write(ssl, bytes, bytes.length);
    if (count > 0) return count;
    throw takeError("write by TLS");
  }

  /** Tells the other side that nothing more comes. */
  finish(): void {
    if (this.#ssl === undefined) return;
    openssl().ERR_clear_error();
    openssl().SSL_shutdown(this.#ssl);
    openssl().ERR_clear_error();
  }

  /** The certificate that the other side has proven to hold the key of, DER; undefined if it has none. */
  peerCertificate(): Uint8Array<ArrayBuffer> | undefined {
    const certificate = openssl().SSL_get1_peer_certificate(this.#alive());
    if (certificate === null) return undefined;
    try {
      return derOf(certificate);
    } finally {
      openssl().X509_free(certificate);
    }
  }

  /** All certificates that the server sent, DER. Nothing is proven by them. */
  sentCertificates(): Uint8Array<ArrayBuffer>[] {
    const { OPENSSL_sk_num, OPENSSL_sk_value, SSL_get_peer_cert_chain } = openssl();
    const chain = SSL_get_peer_cert_chain(this.#alive());
    if (chain === null) return [];
    return Array.from(
      { length: Math.max(0, OPENSSL_sk_num(chain)) },
      (_, index) => derOf(present(OPENSSL_sk_value(chain, index), "read a chain")),
    );
  }

  /** What is wrong with the other side's certificate, in the library's words; undefined if nothing is. */
  fault(): string | undefined {
    if (this.#ssl === undefined) return undefined;
    const result = openssl().SSL_get_verify_result(this.#ssl);
    if (BigInt(result) === X509_V_OK) return undefined;
    const said = openssl().X509_verify_cert_error_string(BigInt(result));
    return said === null ? `error ${result}` : Deno.UnsafePointerView.getCString(said);
  }

  /** Frees the session. */
  [Symbol.dispose](): void {
    if (this.#ssl === undefined) return;
    openssl().SSL_free(this.#ssl);
    this.#ssl = undefined;
  }

  #alive(): Deno.PointerObject {
    if (this.#ssl === undefined) throw new Deno.errors.BadResource("The TLS session is closed");
    return this.#ssl;
  }

  #step(returned: number, operation: string): Step {
    if (returned > 0) return "done";
    const error = openssl().SSL_get_error(this.#ssl!, returned);
    if (error === SSL_ERROR_WANT_READ) return "more";
    if (error === SSL_ERROR_ZERO_RETURN) return "end";
    if (error === SSL_ERROR_SSL) throw takeError(operation);
    throw new OpensslError(operation, 0, `error ${error}`);
  }
}
