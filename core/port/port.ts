/**
 * The one port of an agent that other hosts reach: mutual TLS 1.3, and each connection says first what it is for. What then runs over it
 * is not known here.
 *
 * The first line is the purpose; the answer is `ok`, or `no` and why. Only purposes that are open to all are granted to somebody without
 * a certificate.
 *
 * What strangers can cost is bounded: connections that are not yet known, of all and of each address, their time, and how many each
 * address may begin in a while. A port scan costs a socket for as long as it stays connected, ten seconds at most.
 *
 * Longer than others: whoever is let in, and what it may cost meanwhile, is decided in one place.
 *
 * @module
 */
import { TlsContext } from "../../ffi/openssl/session.ts";
import { boundSilence } from "../../ffi/tcp.ts";
import { after, monotonicClock, sleep, wallClock } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { type ByteStream, closeQuietly, writeAll } from "../store/dqlite/stream.ts";
import { type Peer, peerOf } from "./certificates.ts";
import { readLine } from "./line.ts";
import { TlsStream } from "./tls_stream.ts";

/** The port's number (TCP) unless said otherwise. */
export const DEFAULT_PORT = 8473;

/** What a node shows and believes. */
export interface Credentials {
  /** The authority's certificate, DER. */
  readonly authority: Uint8Array<ArrayBuffer>;
  /** The node's certificate, DER. */
  readonly certificate: Uint8Array<ArrayBuffer>;
  /** Its key, PKCS #8. */
  readonly key: Uint8Array<ArrayBuffer>;
}

/** What a connection may be for, each its own word of letters. */
export type Purpose = string;

/** Serves connections of one purpose; the stream is closed when it is done. */
export type Server = (stream: ByteStream, peer: Peer, from: string) => Promise<void>;

/** Serves connections of a purpose that needs no certificate. */
export type OpenServer = (stream: ByteStream, from: string) => Promise<void>;

/** What a port bears. */
export interface PortBounds {
  /** Connections whose other end is not proven yet. */
  readonly unknown: number;
  /** The same, from one address. */
  readonly unknownOfOne: number;
  /** Connections in all. */
  readonly connections: number;
  /** Connections of one node. */
  readonly ofOne: number;
  /** Connections that one address may begin at once, and then one each `interval`. */
  readonly burst: number;
  /** Milliseconds. */
  readonly interval: number;
  /** Milliseconds until it has to be known who is there and what for. */
  readonly patience: number;
}

const BOUNDS: PortBounds = {
  unknown: 256,
  unknownOfOne: 128,
  connections: 2048,
  ofOne: 64,
  burst: 300,
  interval: 50,
  patience: 10_000,
};
/** Addresses of which it is remembered how many connections they began. */
const REMEMBERED = 4096;
/** Milliseconds after which an accept that failed is tried again. */
const BREATH = 100;

/** How a port is opened. */
export interface PortOptions {
  readonly credentials: Credentials;
  /** Address to listen at; the default is all of both families. */
  readonly hostname?: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Purposes for nodes. */
  readonly servers: Readonly<Record<Purpose, Server>>;
  /** Purposes for everybody. */
  readonly open?: Readonly<Record<Purpose, OpenServer>>;
  /** Whether a certificate was revoked. Asked at each connection, and again by {@linkcode Port.recheck}. */
  readonly isRevoked: (peer: Peer) => boolean;
  readonly bounds?: Partial<PortBounds>;
  /** Told of what goes wrong with one connection. */
  readonly onProblem?: (sentence: string) => void;
}

/** Why a purpose is not granted, as the port says it. */
export type Denial = "certificate" | "revoked" | "purpose" | "busy";

interface Known {
  readonly peer: Peer;
  readonly from: string;
  readonly stream: TlsStream;
}

/** An open port. */
export class Port implements AsyncDisposable {
  readonly #options: PortOptions;
  readonly #bounds: PortBounds;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #known = new Set<Known>();
  readonly #unknown = new Map<string, number>();
  readonly #begun = new Map<string, { left: number; at: number }>();
  #context: TlsContext;
  #done: Promise<void>;
  #stopped = false;

  private constructor(options: PortOptions, listener: Deno.TcpListener, context: TlsContext) {
    this.#options = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
    this.#listener = listener;
    this.#context = context;
    this.#done = this.#accept();
  }

  /**
   * Opens the port.
   *
   * @throws {KnetError} if its number is taken, or the credentials make no sense; MissingLibraryError without OpenSSL.
   */
  static open(options: PortOptions): Port {
    const context = contextOf(options.credentials);
    try {
      return new Port(options, listen(options), context);
    } catch (error) {
      context[Symbol.dispose]();
      throw error;
    }
  }

  /** The number that it has. */
  get number(): number {
    return this.#listener.addr.port;
  }

  /** Who is connected, a line a connection. */
  get peers(): readonly Peer[] {
    return [...this.#known].map(({ peer }) => peer);
  }

  /** From now on shows and believes these. Connections that are there stay. */
  renew(credentials: Credentials): void {
    const before = this.#context;
    this.#context = contextOf(credentials);
    before[Symbol.dispose]();
  }

  /** Cuts connections of whoever was revoked since. */
  recheck(): void {
    for (const { peer, stream } of this.#known) {
      if (this.#isOut(peer)) stream.destroy();
    }
  }

  /** Cuts connections: of a node from an address where it is no more, or of all, which have lost this host. */
  cut(nodeId?: string, address?: string): void {
    for (const { peer, from, stream } of this.#known) {
      if (nodeId === undefined || peer.nodeId === nodeId && from === address) stream.destroy();
    }
  }

  /** Closes the port and all of its connections. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#listener.close();
    for (const { stream } of this.#known) stream.destroy();
    for (const connection of this.#connections) closeQuietly(connection);
    await this.#done;
    this.#context[Symbol.dispose]();
  }

  /** See {@linkcode Port.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #isOut(peer: Peer): boolean {
    return peer.notAfter <= wallClock() || this.#options.isRevoked(peer);
  }

  async #accept(): Promise<void> {
    while (!this.#stopped) {
      let connection: Deno.TcpConn;
      try {
        connection = await this.#listener.accept();
      } catch {
        if (this.#stopped) return;
        // A connection that was reset before it was accepted; or no descriptor is left.
        await sleep(BREATH);
        continue;
      }
      void this.#take(connection);
    }
  }

  async #take(connection: Deno.TcpConn): Promise<void> {
    this.#connections.add(connection);
    const from = plainAddress((connection.remoteAddr as Deno.NetAddr).hostname);
    try {
      if (!this.#mayBegin(from)) return closeQuietly(connection);
      this.#unknown.set(from, (this.#unknown.get(from) ?? 0) + 1);
      let stream: TlsStream | undefined;
      const timer = after(this.#bounds.patience, () => closeQuietly(connection), { idle: true });
      let serve: (() => Promise<void>) | undefined;
      try {
        quicken(connection);
        stream = await TlsStream.begin(
          connection,
          this.#context,
          "server",
          this.#bounds.patience,
        );
        serve = await this.#grant(stream, from);
      } finally {
        timer.cancel();
        this.#forget(from);
        if (serve === undefined) stream?.close();
      }
      await serve?.();
    } catch (error) {
      // What strangers send is theirs; what a server of ours throws is to be known.
      if (error instanceof ServerFailure) this.#options.onProblem?.(error.message);
    } finally {
      this.#connections.delete(connection);
    }
  }

  /** Hears what the connection is for; what is to be done then, if it is granted. */
  async #grant(stream: TlsStream, from: string): Promise<(() => Promise<void>) | undefined> {
    const certificate = stream.peerCertificate();
    const peer = certificate && peerOf(certificate);
    const purpose = await readLine(stream);
    if (purpose === undefined) return undefined;
    const open = entry(this.#options.open ?? {}, purpose);
    const server = entry(this.#options.servers, purpose);
    const denial: Denial | undefined = peer !== undefined && this.#isOut(peer)
      ? "revoked"
      : open !== undefined
      ? undefined
      : peer === undefined
      ? "certificate"
      : server === undefined
      ? "purpose"
      : this.#known.size >= this.#bounds.connections ||
          [...this.#known].filter((known) => known.peer.nodeId === peer.nodeId).length >=
            this.#bounds.ofOne
      ? "busy"
      : undefined;
    await say(stream, denial === undefined ? "ok" : `no ${denial}`);
    if (denial !== undefined) return undefined;
    if (open !== undefined) return () => this.#serve(stream, purpose, () => open(stream, from));
    const known = { peer: peer!, from, stream };
    this.#known.add(known);
    return async () => {
      try {
        await this.#serve(stream, purpose, () => server!(stream, peer!, from));
      } finally {
        this.#known.delete(known);
      }
    };
  }

  async #serve(stream: TlsStream, purpose: Purpose, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      throw new ServerFailure(`Cannot serve a connection for ${purpose}: ${messageOf(error)}`, {
        cause: error,
      });
    } finally {
      stream.close();
    }
  }

  /** Whether an address may begin one more connection. */
  #mayBegin(from: string): boolean {
    const { unknown, unknownOfOne, burst, interval } = this.#bounds;
    const now = monotonicClock();
    const before = this.#begun.get(from);
    const left = Math.min(
      burst,
      before === undefined ? burst : before.left + (now - before.at) / interval,
    );
    // The last one to come is the last one to be forgotten.
    this.#begun.delete(from);
    this.#begun.set(from, { left: Math.max(0, left - 1), at: now });
    if (this.#begun.size > REMEMBERED) this.#begun.delete(this.#begun.keys().next().value!);
    if (left >= 1 && (this.#unknown.get(from) ?? 0) < unknownOfOne) {
      const all = [...this.#unknown.values()].reduce((sum, count) => sum + count, 0);
      if (all < unknown) return true;
    }
    return false;
  }

  #forget(from: string): void {
    const count = (this.#unknown.get(from) ?? 1) - 1;
    if (count === 0) this.#unknown.delete(from);
    else this.#unknown.set(from, count);
  }
}

/** A server of a purpose failed. */
class ServerFailure extends Error {}

/** The own entry of an object, whatever the other side calls it. */
function entry<T>(of: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(of, name) ? of[name] : undefined;
}

async function say(stream: ByteStream, line: string): Promise<void> {
  await writeAll(stream, new TextEncoder().encode(`${line}\n`));
}

/** An address of IPv4 as it is written, though it came by a socket of both families. */
export function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

/** Seconds: a host that vanished is noticed within half a minute where nothing is under way. */
const SILENCE = { idle: 10, interval: 3, questions: 4 };

/**
 * Small messages are not waited with, and a host that vanished is noticed.
 *
 * @param unanswered Milliseconds that what was sent may go unacknowledged; else it is tried for minutes. For connections on which
 * something is always under way: on others one lost question would end them.
 */
export function quicken(connection: Deno.TcpConn, unanswered?: number): void {
  connection.setNoDelay(true);
  connection.setKeepAlive(true);
  boundSilence(connection, { ...SILENCE, ...(unanswered !== undefined && { unanswered }) });
}

/** What sessions of a node share. */
export function contextOf({ authority, certificate, key }: Credentials): TlsContext {
  return new TlsContext({ authority, own: { certificate, key } });
}

function listen({ hostname, port }: PortOptions): Deno.TcpListener {
  const hostnames = hostname === undefined ? ["::", "0.0.0.0"] : [hostname];
  let last: unknown;
  for (const each of hostnames) {
    try {
      return Deno.listen({ hostname: each, port });
    } catch (error) {
      last = error;
      if (error instanceof Deno.errors.AddrInUse) break;
    }
  }
  throw new KnetError(`Cannot open port ${port} to other hosts: ${messageOf(last)}`, {
    cause: last,
    remedy: "See with ss -ltnp who has the port, and let that have another one",
  });
}
