/**
 * What carries the streams of the cluster's own store from host to host, and proves to each side who the other is.
 *
 * @module
 */
import { KnetError, messageOf, StoreAwayError } from "../base/error.ts";
import type { ByteStream } from "../store/dqlite/stream.ts";
import type { Peer } from "../store/remote/server.ts";

/** What a stream is for: between replicas, or the store's own interface. */
export type StorePurpose = "replica" | "store";

/** What is done with streams that come. Each returns when its stream is over. */
export interface StoreServers {
  /** @param nodeId Who is there, proven. */
  replica(stream: ByteStream, nodeId: string): Promise<void>;
  /** @param peer Who is there, and what it may do, proven. */
  store(stream: ByteStream, peer: Peer): Promise<void>;
}

/** Where this host is. */
export interface HostPlace {
  /** Its own, in the underlay. */
  readonly address: string;
  /** Interfaces by which it reaches others. */
  readonly devices: readonly { readonly name: string; readonly ifindex: number }[];
}

/** Where a host is to be looked for. */
export interface ReachAddress {
  readonly address: string;
  /** TCP; absent: the one that all have. */
  readonly port?: number | undefined;
}

/** Who was found there. */
export interface ReachedHost {
  readonly address: string;
  readonly port: number;
  /** Its node id, proven; absent if there is no host of the cluster. */
  readonly nodeId?: string;
  /** Why not. */
  readonly problem?: string;
}

/** A carrier, which serves until it is disposed of. */
export interface StoreCarrier extends AsyncDisposable {
  /** TCP port of this host that others reach it by. */
  readonly number?: number;
  /**
   * Makes a stream to another host.
   *
   * @param host Its node id, or one of the seeds.
   * @throws {KnetError} if it cannot be reached, or is another one.
   */
  dial(host: string, purpose: StorePurpose): Promise<ByteStream>;
  /**
   * Lets nobody in from now on who is revoked by this host's copy of the store.
   *
   * @throws if the copy does not answer.
   */
  heedRevoked?(): Promise<void>;
  /** The same by what these hosts (node ids) say; those that do not answer are passed over. */
  heedRevokedBy?(hosts: readonly string[]): Promise<void>;
  /**
   * Looks whether another program runs as this host, which is a copy of it then, or the other way round.
   *
   * @param known Where it may be.
   * @param isOwn Whether an address is one of this host's.
   * @returns where it is.
   */
  twin?(
    known: readonly string[],
    isOwn: (address: string) => boolean,
  ): Promise<string | undefined>;
  /** This host is there now, and may have been elsewhere before. */
  at?(place: HostPlace): void;
  /** Looks who is at addresses. */
  reach?(addresses: readonly ReachAddress[]): Promise<ReachedHost[]>;
}

/** What a carrier is made for. */
export interface CarrierRequest {
  /** This host's. */
  readonly nodeId: string;
  readonly dataDir: string;
  /** Where a host is by its lease; none if that is not known. */
  readonly addressesOf: (nodeId: string) => readonly string[];
  /** Hosts that hold a copy of the store (node ids), as far as is known; this one among them if it does. */
  readonly holders: () => readonly string[];
  readonly servers: StoreServers;
}

/** How an agent gets to other hosts. */
export interface CarrierMaker {
  /** Hosts to join by, as `dial` takes them; none on the first host. */
  readonly seeds: readonly string[];
  start(request: CarrierRequest): Promise<StoreCarrier>;
}

/**
 * What kept a stream from being made, as those take it who then try the next host: whatever one says, or does not say, another may answer.
 */
export function awayBy(error: unknown): StoreAwayError {
  if (error instanceof StoreAwayError) return error;
  const remedy = error instanceof KnetError ? error.remedy : undefined;
  return new StoreAwayError(messageOf(error), { cause: error, ...(remedy && { remedy }) });
}

let given: CarrierMaker | undefined;

/** Lets agents of this program get to other hosts in a way of their own: tests do so. */
export function giveCarrier(carrier: CarrierMaker): void {
  given = carrier;
}

/** The way to other hosts that was given; undefined if none was. */
export function givenCarrier(): CarrierMaker | undefined {
  return given;
}
