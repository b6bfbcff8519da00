/**
 * A host's part in the cluster's port: it opens its own, dials others', lets hosts in, renews its certificate, and hears who was revoked
 * and where hosts are.
 *
 * Longer than others: all parts of the port meet here.
 *
 * The authority's key is in the store. Only hosts with a copy of it sign; the others pass on what they are asked.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as v from "valibot";
import { after, random, sleep, wallClock } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { type ByteStream, closeQuietly } from "../store/dqlite/stream.ts";
import { NoStoreError } from "../store/location.ts";
import { CERTIFICATE_LIFE, fingerprint, makeKeys, type Peer, peerOf } from "./certificates.ts";
import { beginCluster, Desk, RENEWAL, RENEWED } from "./desk.ts";
import { dial, DialError, type Endpoint } from "./dial.ts";
import {
  ENROL,
  type EnrolAnswer,
  type EnrolRequest,
  passOn,
  REQUEST,
  serveEnrolment,
} from "./enrolment.ts";
import { answer, ask, text } from "./frame.ts";
import { HOSTS, Hosts, type KnownHost } from "./hosts.ts";
import { HOSTS_PURPOSE } from "./joining.ts";
import {
  readCredentials,
  readWaitingAuthority,
  writeCredentials,
  writeWaitingAuthority,
} from "./node_files.ts";
import { type Credentials, DEFAULT_PORT, Port } from "./port.ts";
import { Revoked, REVOKED_LIST, type RevokedList } from "./revoked.ts";
import { Search, type SegmentDevice } from "./search.ts";
import { over, Ways } from "./ways.ts";

/** Purposes of connections between nodes, beside those of the store. */
const RENEW = "renew";
const REVOKED = "revoked";
const ENROL_HERE = "enrol-here";
/** Which program it is that has a node's certificate. */
const INSTANCE = "instance";
const INSTANCE_SHAPE = v.object({ instance: text(36) });

/** See {@linkcode CarrierOptions.tick}. */
const TICK = 15_000;
/** Milliseconds until the first host asks again whether the store takes its authority. */
const SOON = 500;
/** Milliseconds between two looks at the least. */
const BREATH = 300;
/** Milliseconds that one question may take. */
const PATIENCE = 10_000;
/** Hosts that are asked, one after the other, until one answers. */
const ASKED = 8;
/** Hosts that are asked at once where they have met this one, and the milliseconds that they have: a start waits for it. */
const [ASKED_AT_ONCE, MOMENT] = [3, 1000];

/** What is done with streams that come. Each returns when its stream is over. */
export interface CarrierServers {
  /** @param nodeId Who is there, proven. */
  replica(stream: ByteStream, nodeId: string): Promise<void>;
  /** @param peer Who is there, and what it may do, proven. */
  store(stream: ByteStream, peer: Peer): Promise<void>;
}

/** Where a host is. */
export interface HostPlace {
  /** Its own, in the underlay. */
  readonly address: string;
  /** Interfaces by which it reaches others. */
  readonly devices: readonly SegmentDevice[];
}

/** Who was found at an address. */
export interface Reached extends Endpoint {
  /** The node, proven; absent if there is none of the cluster. */
  readonly nodeId?: string;
  /** Why not. */
  readonly problem?: string;
}

/** What a carrier is made for. */
export interface CarrierNeeds {
  /** This host's. */
  readonly nodeId: string;
  /** Where a host is by its lease; none if that is not known. */
  readonly addressesOf: (nodeId: string) => readonly string[];
  /** Hosts that hold a copy of the store (node ids), as far as is known; this one among them if it does. */
  readonly holders: () => readonly string[];
  readonly servers: CarrierServers;
}

/** How a carrier is made. */
export interface CarrierOptions {
  readonly dataDir: string;
  /** The store whose copy this host may hold: `dqlite:DIRECTORY`. */
  readonly storeUrl: string;
  /** TCP; the default is {@linkcode DEFAULT_PORT}. */
  readonly port?: number;
  /** Milliseconds between looks at what was revoked and where hosts are; the default is 15 s. */
  readonly tick?: number;
  readonly onProblem?: (sentence: string) => void;
}

/**
 * The port as the agent's way to other hosts.
 *
 * `seeds` are the hosts that are known: none on the first, which begins the cluster.
 */
export function clusterCarrier(options: CarrierOptions): {
  readonly seeds: readonly string[];
  start(needs: CarrierNeeds): Promise<ClusterCarrier>;
} {
  const joined = readCredentials(options.dataDir);
  const own = joined && peerOf(joined.certificate).nodeId;
  const seeds = joined === undefined
    ? []
    : new Hosts(options.dataDir).all.map(({ nodeId }) => nodeId).filter((id) => id !== own);
  return { seeds, start: (needs) => ClusterCarrier.start(options, needs) };
}

/** See the head of this file. */
export class ClusterCarrier implements AsyncDisposable {
  readonly #options: CarrierOptions;
  readonly #needs: CarrierNeeds;
  readonly #hosts: Hosts;
  readonly #revoked: Revoked;
  readonly #stop = new AbortController();
  readonly #port: Port;
  readonly #search: Search;
  readonly #ways: Ways;
  #credentials: Credentials;
  readonly #desk: Desk;
  #told = "";
  #ticking: Promise<void> = Promise.resolve();
  /** Ends the pause before the next look. */
  #wake = new AbortController();
  /** Whether no other host answered. */
  #lost = false;
  #place: string | undefined;
  readonly #instance = crypto.randomUUID();

  private constructor(
    options: CarrierOptions,
    needs: CarrierNeeds,
    credentials: Credentials,
    revoked: Revoked,
  ) {
    this.#options = options;
    this.#needs = needs;
    this.#credentials = credentials;
    this.#revoked = revoked;
    this.#desk = new Desk(options.storeUrl, () => needs.holders().includes(needs.nodeId));
    this.#hosts = new Hosts(options.dataDir, (sentence) => this.#tell(sentence));
    this.#search = new Search({
      nodeId: needs.nodeId,
      port: this.number,
      cluster: fingerprint(credentials.authority),
      onHint: (nodeId) => {
        this.#ways.hinted(nodeId);
        if (this.#lost) this.#wake.abort();
      },
      onProblem: (sentence) => this.#tell(sentence),
    });
    this.#ways = new Ways({
      hosts: this.#hosts,
      search: this.#search,
      addressesOf: needs.addressesOf,
      port: this.number,
      credentials: () => this.#credentials,
      isRevoked: (peer) => revoked.has(peer),
      signal: this.#stop.signal,
      look: async (nodeId, where, patience) => {
        const asked = { ...where, nodeId, patience, purpose: HOSTS_PURPOSE };
        const stream = await dial({ ...asked, credentials: this.#credentials });
        await over(stream, () => this.#exchangeBy(stream));
      },
      onGone: (nodeId, address) => this.#port.cut(nodeId, address),
    });
    const met = (peer: Peer, from: string) => {
      if (peer.nodeId !== needs.nodeId) this.#ways.met(peer.nodeId, from);
    };
    this.#port = Port.open({
      credentials,
      port: this.number,
      servers: {
        replica: (stream, peer, from) => {
          met(peer, from);
          return needs.servers.replica(stream, peer.nodeId);
        },
        store: (stream, peer, from) => {
          met(peer, from);
          return needs.servers.store(stream, peer);
        },
        [HOSTS_PURPOSE]: (stream, peer, from) => {
          met(peer, from);
          return within(stream, () => answer(stream, HOSTS, (told) => this.#exchange(told)));
        },
        [RENEW]: (stream, peer) =>
          within(
            stream,
            () => answer(stream, RENEWAL, (asked) => this.#desk.renewFor(peer, asked)),
          ),
        [INSTANCE]: (stream) =>
          within(
            stream,
            () => answer(stream, v.object({}), () => Promise.resolve({ instance: this.#instance })),
          ),
        [REVOKED]: (stream) =>
          within(stream, () =>
            answer(stream, v.object({}), async () => {
              await this.#readRevoked().catch((error) => {
                // Signed as it is, an older list is better than none.
                if (revoked.list === undefined) throw error;
              });
              return revoked.list;
            })),
        [ENROL_HERE]: (stream) =>
          within(
            stream,
            () => answer(stream, REQUEST, (request) => this.#desk.letIn(request, this.#hosts.all)),
          ),
      },
      open: {
        [ENROL]: (stream) =>
          within(stream, () => serveEnrolment(stream, (request) => this.#letInOrPass(request))),
      },
      isRevoked: (peer) => revoked.has(peer),
      onProblem: (sentence) => this.#tell(sentence),
    });
  }

  /**
   * Opens the port. A host that belongs to no cluster begins one, and is its first administrator.
   *
   * @throws {KnetError} if the port is taken, or the certificate is another node's; exit code 3 without OpenSSL.
   */
  static async start(options: CarrierOptions, needs: CarrierNeeds): Promise<ClusterCarrier> {
    const { dataDir } = options;
    const credentials = readCredentials(dataDir) ?? await beginCluster(dataDir, needs.nodeId);
    const own = peerOf(credentials.certificate);
    if (own.nodeId !== needs.nodeId) {
      throw new KnetError(
        `Cannot take part in the cluster as the node ${needs.nodeId}: this host's certificate is of the node ${own.nodeId}`,
        { exitCode: 4, remedy: `Give --node-id ${own.nodeId}, or join again with a token` },
      );
    }
    const revoked = await Revoked.read(dataDir, credentials.authority);
    const made = new ClusterCarrier(options, needs, credentials, revoked);
    made.#ticking = made.#run();
    return made;
  }

  /** The port's number, TCP. */
  get number(): number {
    return this.#options.port ?? DEFAULT_PORT;
  }

  /** Hosts that are known. */
  get hosts(): readonly KnownHost[] {
    return this.#hosts.all;
  }

  /**
   * Makes a stream to another host, wherever it is now.
   *
   * @param host Its node id.
   * @throws {DialError} if it cannot be reached, or is another one.
   */
  async dial(host: string, purpose: string): Promise<ByteStream> {
    return await this.#ways.dial(host, purpose);
  }

  /** This host is there now: hosts that are missed are searched for by these interfaces. */
  at({ address, devices }: HostPlace): void {
    const moved = this.#place !== undefined && this.#place !== address;
    this.#place = address;
    this.#search.by(devices, moved);
    if (!moved) return;
    // By none of them would anything come: what is sent comes from an address that is gone.
    this.#ways.cut();
    this.#port.cut();
    this.#wake.abort();
  }

  /** Looks who is at addresses, and lets those of the cluster, and this host, know where the others are. */
  async reach(
    addresses: readonly { readonly address: string; readonly port?: number | undefined }[],
  ): Promise<Reached[]> {
    const look = async (
      { address, port = this.number }: (typeof addresses)[number],
    ): Promise<Reached> => {
      const where = { address, port };
      try {
        const { peer: { nodeId }, stream } = await this.#ways.dialAt(where, HOSTS_PURPOSE);
        if (nodeId === this.#needs.nodeId) {
          stream.close();
          return { ...where, problem: "it is this host" };
        }
        this.#hosts.met(nodeId, where.address, where.port);
        await over(stream, () => this.#exchangeBy(stream));
        return { ...where, nodeId };
      } catch (error) {
        return { ...where, problem: messageOf(error) };
      }
    };
    const first = await Promise.all(addresses.map(look));
    // Each that was found is told of those that were found after it.
    const found = addresses.filter((_, n) => first[n]!.nodeId !== undefined);
    if (found.length > 1) await Promise.all(found.map(look));
    if (found.length > 0) this.#wake.abort();
    return first;
  }

  /**
   * Looks whether another program runs with this host's certificate: a copy of this host, or what this one is a copy of.
   *
   * @param known Where it may be, beside where others have met this host.
   * @param isOwn Whether an address is one of this host's.
   * @returns where it is; undefined if none was found.
   */
  async twin(
    known: readonly string[],
    isOwn: (address: string) => boolean,
  ): Promise<string | undefined> {
    const looked = new Map<string, Promise<boolean>>();
    const look = (addresses: readonly string[]) => {
      for (const address of addresses) {
        if (!isOwn(address) && !looked.has(address)) looked.set(address, this.#isTwin(address));
      }
    };
    look(known);
    const late = new AbortController();
    look(await Promise.race([this.#metAt(), sleep(MOMENT, late.signal).then(() => [])]));
    late.abort();
    for (const [address, found] of looked) if (await found) return address;
    return undefined;
  }

  /** Whether another program at an address has this host's certificate. */
  async #isTwin(address: string): Promise<boolean> {
    try {
      const where = { address, port: this.number };
      const { peer, stream } = await this.#ways.dialAt(where, INSTANCE, MOMENT);
      return await over(stream, async () => {
        if (peer.nodeId !== this.#needs.nodeId) return false;
        const { instance } = await within(stream, () => ask(stream, {}, INSTANCE_SHAPE));
        // By an address that is translated it may be this program itself.
        return instance !== this.#instance;
      });
    } catch {
      return false;
    }
  }

  /** Where other hosts have met this one, as far as some of them say so. */
  async #metAt(): Promise<string[]> {
    const { nodeId } = this.#needs;
    const said = await Promise.allSettled(
      this.#some(ASKED_AT_ONCE).map(async (host) => {
        const stream = await this.dial(host, HOSTS_PURPOSE);
        return await over(stream, () => within(stream, () => ask(stream, [], HOSTS)));
      }),
    );
    return said.flatMap((one) => one.status === "fulfilled" ? one.value : [])
      .filter((host) => host.nodeId === nodeId).flatMap(({ addresses }) => addresses);
  }

  /**
   * Lets nobody in from now on who is revoked by this host's copy of the store.
   *
   * @throws if it holds none, or the copy does not answer.
   */
  async heedRevoked(): Promise<void> {
    await this.#readRevoked();
  }

  /** The same by what these hosts (node ids) say; those that do not answer are passed over. */
  async heedRevokedBy(hosts: readonly string[]): Promise<void> {
    await Promise.allSettled(hosts.map(async (host) => {
      const stream = await this.dial(host, REVOKED);
      try {
        const list = await within(stream, () => ask(stream, {}, REVOKED_LIST));
        if (await this.#revoked.take(list)) this.#port.recheck();
      } finally {
        closeQuietly(stream);
      }
    }));
  }

  /** Closes the port. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#search[Symbol.asyncDispose]();
    await this.#port.stop();
    await this.#ticking;
    await this.#desk[Symbol.asyncDispose]();
  }

  #tell(sentence: string): void {
    if (sentence === this.#told) return;
    this.#told = sentence;
    this.#options.onProblem?.(sentence);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    await this.#lookForHosts();
    while (!signal.aborted) {
      const waiting = readWaitingAuthority(this.#options.dataDir) !== undefined;
      if (waiting) await this.#attempt(() => this.#handOver());
      else {
        await this.#attempt(() => this.#lookRevoked());
        await this.#attempt(() => this.#renew());
        await this.#lookForHosts();
      }
      const { tick = TICK } = this.#options;
      if (signal.aborted) break;
      this.#wake = new AbortController();
      await sleep(waiting ? SOON : tick * (0.75 + random() / 2), this.#wake.signal);
      // However often it is woken.
      await sleep(BREATH, signal);
    }
  }

  /** Asks one of the hosts that are known where all are; if none of them answers, all that hear this one. */
  async #lookForHosts(): Promise<void> {
    this.#lost = this.#hosts.all.length > 0;
    await this.#attempt(async () => {
      await this.#exchangeWithOne();
      this.#lost = false;
    });
    if (this.#lost) this.#search.missed();
  }

  async #attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      // The store is away, or nobody answers: those who need them say so.
      if (error instanceof KnetError && error.exitCode === 4) this.#tell(messageOf(error));
    }
  }

  async #useNew(
    certified: (publicKey: Uint8Array<ArrayBuffer>) => Promise<
      { readonly certificate: Uint8Array<ArrayBuffer> }
    >,
  ): Promise<void> {
    const { key, publicKey } = await makeKeys();
    const { certificate } = await certified(publicKey);
    const credentials = { authority: this.#credentials.authority, certificate, key };
    this.#port.renew(credentials);
    writeCredentials(this.#options.dataDir, credentials);
    this.#credentials = credentials;
  }

  async #renew(): Promise<void> {
    const { nodeId, role, serial, notAfter } = peerOf(this.#credentials.certificate);
    if (notAfter - wallClock() > CERTIFICATE_LIFE / 2) return;
    await this.#useNew(async (publicKey) => {
      try {
        const node = { nodeId, role, publicKey, before: serial };
        return await this.#desk.renew(node);
      } catch (error) {
        if (isFinal(error)) throw error;
      }
      const { certificate } = await this.#askAny(
        RENEW,
        (stream) => ask(stream, { publicKey: Buffer.from(publicKey).toString("base64") }, RENEWED),
      );
      return { certificate: new Uint8Array(Buffer.from(certificate, "base64")) };
    });
  }

  async #letInOrPass(request: EnrolRequest): Promise<EnrolAnswer> {
    try {
      return await this.#desk.letIn(request, this.#hosts.all);
    } catch (error) {
      if (isFinal(error)) throw error;
      return await this.#askAny(ENROL_HERE, (stream) => passOn(stream, request)).catch((other) => {
        throw isFinal(other) ? other : error;
      });
    }
  }

  async #handOver(): Promise<void> {
    const { dataDir } = this.#options;
    const waiting = readWaitingAuthority(dataDir);
    if (waiting === undefined) return;
    await this.#desk.begin(waiting);
    const { nodeId, role } = peerOf(this.#credentials.certificate);
    await this.#useNew((publicKey) => this.#desk.renew({ nodeId, role, publicKey }));
    writeWaitingAuthority(dataDir, undefined);
  }

  async #readRevoked(): Promise<void> {
    const list = await this.#desk.revoked(this.#revoked);
    if (list !== undefined && await this.#revoked.take(list)) this.#port.recheck();
  }

  async #lookRevoked(): Promise<void> {
    try {
      return await this.#readRevoked();
    } catch {
      // This host has no copy.
    }
    const list: RevokedList = await this.#askAny(
      REVOKED,
      (stream) => ask(stream, {}, REVOKED_LIST),
    );
    if (await this.#revoked.take(list)) this.#port.recheck();
  }

  #exchange(told: readonly KnownHost[]): Promise<readonly KnownHost[]> {
    this.#hosts.told(told.filter(({ nodeId }) => nodeId !== this.#needs.nodeId));
    return Promise.resolve(this.#hosts.all);
  }

  async #exchangeBy(stream: ByteStream): Promise<void> {
    await this.#exchange(await within(stream, () => ask(stream, this.#hosts.all, HOSTS)));
  }

  async #exchangeWithOne(): Promise<void> {
    await this.#askAny(HOSTS_PURPOSE, (stream) => this.#exchangeBy(stream), this.#some(3));
  }

  /** Some of the other hosts, in any order. */
  #some(most: number): string[] {
    return this.#shuffled(this.#hosts.all.map(({ nodeId }) => nodeId)).slice(0, most);
  }

  /** The same, those that hold a copy of the store first: the others could but pass on what they are asked. */
  #someWithCopy(): string[] {
    const hosts = [...this.#shuffled(this.#needs.holders()), ...this.#some(ASKED)];
    return [...new Set(hosts)].slice(0, ASKED);
  }

  #shuffled(nodeIds: readonly string[]): string[] {
    return nodeIds.filter((nodeId) => nodeId !== this.#needs.nodeId)
      .map((nodeId) => [random(), nodeId] as const).sort(([a], [b]) => a - b)
      .map(([, nodeId]) => nodeId);
  }

  /** Asks hosts, one after the other, until one answers. */
  async #askAny<T>(
    purpose: string,
    question: (stream: ByteStream) => Promise<T>,
    hosts = this.#someWithCopy(),
  ): Promise<T> {
    let last: unknown = new KnetError("Cannot ask another host: none is known");
    for (const nodeId of hosts) {
      if (this.#stop.signal.aborted) break;
      try {
        const stream = await this.dial(nodeId, purpose);
        try {
          return await within(stream, () => question(stream));
        } finally {
          closeQuietly(stream);
        }
      } catch (error) {
        if (isFinal(error)) throw error;
        last = error;
      }
    }
    throw last;
  }
}

/** Whether the answer would be the same from any host. */
function isFinal(error: unknown): boolean {
  return error instanceof KnetError && error.exitCode === 4 && !(error instanceof DialError) &&
    !(error instanceof NoStoreError);
}

/** Does something over a stream, which ends if it takes too long. */
async function within<T>(stream: ByteStream, act: () => Promise<T>): Promise<T> {
  const timer = after(PATIENCE, () => closeQuietly(stream), { idle: true });
  try {
    return await act();
  } finally {
    timer.cancel();
  }
}
