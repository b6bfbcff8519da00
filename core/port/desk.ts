/**
 * What only hosts with a copy of the store can do: certify, renew, and say who was revoked.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as v from "valibot";
import { KnetError, StoreAwayError } from "../base/error.ts";
import type { Made, StoreAuthority } from "../store/authority.ts";
import { openStoreAuthority } from "../store/open.ts";
import {
  type Authority,
  certify,
  fingerprint,
  makeAuthority,
  makeKeys,
  type Peer,
} from "./certificates.ts";
import { certifier, type EnrolAnswer, type EnrolRequest, letIn } from "./enrolment.ts";
import { text } from "./frame.ts";
import type { KnownHost } from "./hosts.ts";
import {
  readAskingKeys,
  readWaitingAuthority,
  writeCredentials,
  writeWaitingAuthority,
} from "./node_files.ts";
import type { Credentials } from "./port.ts";
import { type Revoked, type RevokedList, signRevoked } from "./revoked.ts";

/** What a node asks that renews its certificate. */
export const RENEWAL = v.object({ publicKey: text(256) });
/** What it is answered. */
export const RENEWED = v.object({ certificate: text(4096) });

/** The store's authority, opened when it is first asked. */
export class Desk implements AsyncDisposable {
  readonly #storeUrl: string;
  readonly #holds: () => boolean;
  #authority: StoreAuthority | undefined;

  /**
   * @param storeUrl The store whose copy this host may hold.
   * @param holds Whether it holds one just now. Each call rejects at once as long as it does not: to find out by asking the copies takes
   * seconds, and all of them are asked in vain.
   */
  constructor(storeUrl: string, holds: () => boolean) {
    this.#storeUrl = storeUrl;
    this.#holds = holds;
  }

  /** Certifies a host that has a token. */
  async letIn(request: EnrolRequest, hosts: readonly KnownHost[]): Promise<EnrolAnswer> {
    return await letIn(await this.#open(), request, hosts);
  }

  /** See {@linkcode StoreAuthority.renew}. */
  async renew(node: Parameters<StoreAuthority["renew"]>[0]): Promise<Made> {
    return await (await this.#open()).renew(node, certifier);
  }

  /** Renews the certificate of a node that asks. */
  async renewFor(
    { nodeId, role, serial }: Peer,
    { publicKey }: v.InferOutput<typeof RENEWAL>,
  ): Promise<v.InferOutput<typeof RENEWED>> {
    const { certificate } = await this.renew({
      ...{ nodeId, role, before: serial },
      publicKey: new Uint8Array(Buffer.from(publicKey, "base64")),
    });
    return { certificate: Buffer.from(certificate).toString("base64") };
  }

  /**
   * Puts the first host's authority into the store.
   *
   * @throws {KnetError} exit code 4 if it has another one.
   */
  async begin(waiting: Authority): Promise<void> {
    const kept = await (await this.#open()).begin(waiting);
    if (Buffer.compare(fingerprint(kept.certificate), fingerprint(waiting.certificate)) === 0) {
      return;
    }
    throw new KnetError("Cannot use this store: it is of a cluster with another authority", {
      exitCode: 4,
      remedy: "Let this host join that cluster with a token",
    });
  }

  /** A new list of who was revoked; undefined if there is nothing new. */
  async revoked(known: Revoked): Promise<RevokedList | undefined> {
    const authority = await this.#open();
    const serials = await authority.revoked();
    if (known.is(serials)) return undefined;
    const record = await authority.authority();
    return record && await signRevoked(record, serials);
  }

  /** Closes the store. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#authority?.[Symbol.asyncDispose]();
  }

  /** @throws {StoreAwayError} if this host holds no copy. */
  async #open(): Promise<StoreAuthority> {
    if (!this.#holds()) {
      throw new StoreAwayError(
        `Cannot use the store ${this.#storeUrl}: this host holds no copy of it`,
      );
    }
    return this.#authority ??= await openStoreAuthority(this.#storeUrl, { existing: true });
  }
}

/**
 * Makes the authority of a new cluster, which waits for the store, and this host its first node, an administrator.
 *
 * @throws {KnetError} exit code 4 on a host that has asked to join another cluster: whatever ended it meanwhile, it is none of its own.
 */
export async function beginCluster(dataDir: string, nodeId: string): Promise<Credentials> {
  if (readAskingKeys(dataDir) !== undefined) {
    throw new KnetError(
      "Cannot begin a cluster: this host has asked to join one, and was not let in yet",
      {
        exitCode: 4,
        remedy:
          "Join that one again with a token (knet up TOKEN); for a cluster of its own, knet leave first",
      },
    );
  }
  const authority = readWaitingAuthority(dataDir) ?? await makeAuthority();
  writeWaitingAuthority(dataDir, authority);
  const { key, publicKey } = await makeKeys();
  const certificate = certify(authority, { nodeId, role: "admin", publicKey });
  const credentials = { authority: authority.certificate, certificate, key };
  writeCredentials(dataDir, credentials);
  return credentials;
}
