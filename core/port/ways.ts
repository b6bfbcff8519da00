/**
 * The ways to other hosts: where each may be is tried, it is searched for where it is not, and connections that lead to where a host was
 * before are ended, since nothing would ever come by them.
 *
 * @module
 */
import { canonicalAddress } from "../base/address.ts";
import { monotonicClock, sleep } from "../base/clock.ts";
import { KnetError } from "../base/error.ts";
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import { type Peer, peerOf } from "./certificates.ts";
import { dial, DialError, type Endpoint } from "./dial.ts";
import { firstOf } from "../base/first_of.ts";
import type { Hosts } from "./hosts.ts";
import type { Credentials } from "./port.ts";
import type { Search } from "./search.ts";
import type { TlsStream } from "./tls_stream.ts";

/** Milliseconds that an address of a host has to answer. */
const PATIENCE = 2000;
/** The purpose of connections between replicas. */
const REPLICA = "replica";
/**
 * Milliseconds that replicas' messages may go unacknowledged: a replica that does not hear from the others asks for votes within a second,
 * by connections that lead to where a host was.
 */
const UNANSWERED = 3000;
/** Milliseconds until the next address is tried beside it. */
const STAGGER = 150;
/** Milliseconds until a host is searched for that is only slow: to connect to it again would make it slower. */
const SLOW = 1000;
/** Milliseconds that a host has which was just asked for. */
const ANSWER = 1000;
/** Milliseconds between looks whether a host is still where it was, too. */
const AGAIN = 10_000;

/** What ways are made with. */
export interface WaysOptions {
  readonly hosts: Hosts;
  readonly search: Search;
  /** Where a host is by its lease. */
  readonly addressesOf: (nodeId: string) => readonly string[];
  /** The port of hosts whose own is not known. */
  readonly port: number;
  readonly credentials: () => Credentials;
  readonly isRevoked: (peer: Peer) => boolean;
  readonly signal: AbortSignal;
  /** Asks a host at an address for something small; throws if it is not there. */
  readonly look: (nodeId: string, where: Endpoint, patience: number) => Promise<void>;
  /** Told of an address at which a host is no more. */
  readonly onGone: (nodeId: string, address: string) => void;
}

interface Way {
  readonly nodeId: string;
  readonly address: string;
  readonly stream: TlsStream;
}

/** See the head of this file. */
export class Ways {
  readonly #options: WaysOptions;
  readonly #open = new Set<Way>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #looked = new Map<string, number>();

  constructor(options: WaysOptions) {
    this.#options = options;
  }

  /**
   * Makes a stream to a host, wherever it is now.
   *
   * @throws {DialError} if it cannot be reached, or is another one.
   */
  async dial(nodeId: string, purpose: string): Promise<ByteStream> {
    const { signal, hosts } = this.#options;
    const places = this.#placesOf(nodeId);
    const over = new AbortController();
    let left = places.length;
    const found = (where: Endpoint) => async () => {
      if (signal.aborted) throw new KnetError("Cannot reach another host: this agent stops");
      try {
        return { where, stream: await this.#connect(nodeId, where, purpose) };
      } finally {
        if (--left === 0) over.abort();
      }
    };
    const search = async () => {
      if (left > 0) await sleep(SLOW, over.signal);
      if (done) throw new KnetError("Cannot reach another host: it is reached");
      return await found(await this.#find(nodeId, places))();
    };
    let done = false;
    const ways = [...places.map(found), search];
    try {
      const { where, stream } = await firstOf(ways, STAGGER, (late) => late.stream.close());
      done = true;
      over.abort();
      hosts.met(nodeId, where.address, where.port);
      return this.#track({ nodeId, address: where.address, stream });
    } catch (error) {
      throw gravest((error as AggregateError).errors as unknown[]);
    }
  }

  /**
   * Makes a stream to whichever host is at an address.
   *
   * @throws {DialError} if there is none of the cluster.
   */
  async dialAt(
    where: Endpoint,
    purpose: string,
    patience = PATIENCE,
  ): Promise<{ readonly peer: Peer; readonly stream: TlsStream }> {
    const { credentials, isRevoked } = this.#options;
    const stream = await dial({
      ...where,
      ...{ purpose, credentials: credentials(), isRevoked, patience },
    });
    return { peer: peerOf(stream.peerCertificate()!), stream };
  }

  /** A host has proven who it is, and comes from an address: is it still where connections lead to it? */
  met(nodeId: string, address: string): void {
    const { hosts, port } = this.#options;
    const known = hosts.get(nodeId);
    hosts.met(nodeId, address, known?.port ?? port);
    const others = [...this.#open].filter((way) =>
      way.nodeId === nodeId && way.address !== address
    );
    for (const other of new Set(others.map((way) => way.address))) void this.#look(nodeId, other);
  }

  /** Somebody said where a host is. */
  hinted(nodeId: string): void {
    for (const tell of this.#waiting.get(nodeId) ?? []) tell();
  }

  /** Ends all connections: this host has another address. */
  cut(): void {
    for (const { stream } of this.#open) stream.destroy();
  }

  #placesOf(nodeId: string): Endpoint[] {
    const { hosts, search, addressesOf, port } = this.#options;
    const known = hosts.get(nodeId);
    const own = known?.port ?? port;
    const places = [
      ...search.hintsOf(nodeId),
      ...(known?.addresses ?? []).map((address) => ({ address, port: own })),
      ...addressesOf(nodeId).map((address) => ({ address: canonicalAddress(address), port: own })),
    ];
    return [
      ...new Map(places.toReversed().map((one) => [`${one.address} ${one.port}`, one])).values(),
    ].toReversed();
  }

  async #connect(nodeId: string, where: Endpoint, purpose: string): Promise<TlsStream> {
    const { credentials, isRevoked, hosts } = this.#options;
    return await dial({
      ...where,
      ...{ purpose, nodeId, credentials: credentials(), isRevoked, patience: PATIENCE },
      ...(purpose === REPLICA && { unanswered: UNANSWERED }),
      // Where one host was, another may be now.
      onOther: (peer) => hosts.met(peer.nodeId, where.address, where.port),
    });
  }

  /** Has a host searched for, and waits a moment for it to be elsewhere than where it was tried. */
  async #find(nodeId: string, tried: readonly Endpoint[]): Promise<Endpoint> {
    const { search } = this.#options;
    const told = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(nodeId) ?? new Set();
    this.#waiting.set(nodeId, waiting.add(told.resolve));
    const late = new AbortController();
    try {
      if (search.missed(nodeId)) await Promise.race([told.promise, sleep(ANSWER, late.signal)]);
      const hint = search.hintsOf(nodeId).find(({ address, port }) =>
        !tried.some((one) => one.address === address && one.port === port)
      );
      if (hint !== undefined) return hint;
    } finally {
      late.abort();
      waiting.delete(told.resolve);
      if (waiting.size === 0) this.#waiting.delete(nodeId);
    }
    throw new KnetError(`Cannot reach the node ${nodeId}: it is not known where it is`, {
      remedy: "Tell this host with knet store reach where it is, or run knet up there with a token",
    });
  }

  #track(way: Way): ByteStream {
    const { stream } = way;
    this.#open.add(way);
    return {
      read: (into) => stream.read(into),
      write: (bytes) => stream.write(bytes),
      close: () => {
        this.#open.delete(way);
        stream.close();
      },
    };
  }

  /** Ends connections to where a host was, if it is there no more: it may have two addresses. */
  async #look(nodeId: string, address: string): Promise<void> {
    const { look, hosts, port, onGone } = this.#options;
    const key = `${nodeId} ${address}`;
    const now = monotonicClock();
    if (now - (this.#looked.get(key) ?? -Infinity) < AGAIN) return;
    for (const [one, at] of this.#looked) if (now - at >= AGAIN) this.#looked.delete(one);
    this.#looked.set(key, now);
    try {
      await look(nodeId, { address, port: hosts.get(nodeId)?.port ?? port }, PATIENCE);
    } catch {
      for (const way of this.#open) {
        if (way.nodeId === nodeId && way.address === address) way.stream.destroy();
      }
      onGone(nodeId, address);
    }
  }
}

/** Of what came of several addresses the error to be told: who refuses is there, who cannot prove is worth a word, the rest is away. */
function gravest(errors: readonly unknown[]): unknown {
  const of = (reason: string) =>
    errors.find((error) => error instanceof DialError && error.reason === reason);
  return of("refused") ?? of("stranger") ??
    errors.findLast((error) => error instanceof DialError) ?? errors.at(-1);
}

/** Closes a stream when something over it is done. */
export async function over<T>(stream: ByteStream, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    closeQuietly(stream);
  }
}
