/**
 * What a node keeps of the cluster's authority in its data directory: its key and certificate with the authority's in one file, so that
 * they always belong together, readable by openssl(1).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { KnetError } from "../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../base/files.ts";
import type { Authority, Keys } from "./certificates.ts";
import type { Credentials } from "./port.ts";

/** The files in a data directory. */
export const portFiles = (dataDir: string) => ({
  /** Key and certificate of the node, certificate of the authority. */
  node: join(dataDir, "node.pem"),
  /** Key and certificate of the authority, on the first host until they are in the store. */
  authority: join(dataDir, "authority.pem"),
  /** The key of a host that asked to join and has no answer yet. */
  asking: join(dataDir, "joining.pem"),
  /** Hosts of the cluster and where they were. */
  hosts: join(dataDir, "hosts.json"),
  /** Certificates that were revoked. */
  revoked: join(dataDir, "revoked.json"),
});

const KEY = "PRIVATE KEY";
const PUBLIC_KEY = "PUBLIC KEY";
const CERTIFICATE = "CERTIFICATE";

function pem(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes).toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

function blocks(path: string, labels: readonly string[]): Uint8Array<ArrayBuffer>[] | undefined {
  const text = readTextIfPresent(path);
  if (text === undefined) return undefined;
  const found = [
    ...text.matchAll(/-----BEGIN ([A-Z ]+)-----\s([A-Za-z0-9+/=\s]*)-----END \1-----/g),
  ];
  if (found.length !== labels.length || found.some(([, label], at) => label !== labels[at])) {
    throw new KnetError(`Cannot use "${path}": it does not hold what knet writes there`, {
      remedy: "Restore it, or remove it and let this host join again with a new token",
    });
  }
  return found.map(([, , body]) => new Uint8Array(Buffer.from(body!, "base64")));
}

function write(path: string, parts: readonly (readonly [string, Uint8Array])[]): void {
  writeFileAtomically(
    path,
    parts.map(([label, bytes]) => pem(label, bytes)).join(""),
    0o600,
    0o700,
  );
}

/** Who this node is; undefined if it belongs to no cluster. @throws {KnetError} if the file is damaged. */
export function readCredentials(dataDir: string): Credentials | undefined {
  const found = blocks(portFiles(dataDir).node, [KEY, CERTIFICATE, CERTIFICATE]);
  return found && { key: found[0]!, certificate: found[1]!, authority: found[2]! };
}

/** Remembers who this node is. */
export function writeCredentials(dataDir: string, credentials: Credentials): void {
  const { key, certificate, authority } = credentials;
  write(portFiles(dataDir).node, [[KEY, key], [CERTIFICATE, certificate], [
    CERTIFICATE,
    authority,
  ]]);
}

/** The authority that waits for the store; undefined if none does. */
export function readWaitingAuthority(dataDir: string): Authority | undefined {
  const found = blocks(portFiles(dataDir).authority, [KEY, CERTIFICATE]);
  return found && { key: found[0]!, certificate: found[1]! };
}

/** Keeps the authority until it is in the store; undefined: it is. */
export function writeWaitingAuthority(dataDir: string, authority: Authority | undefined): void {
  const path = portFiles(dataDir).authority;
  if (authority === undefined) return removeIfPresent(path);
  write(path, [[KEY, authority.key], [CERTIFICATE, authority.certificate]]);
}

/** The key with which this host asked to join; undefined if it did not. */
export function readAskingKeys(dataDir: string): Keys | undefined {
  const found = blocks(portFiles(dataDir).asking, [KEY, PUBLIC_KEY]);
  return found && { key: found[0]!, publicKey: found[1]! };
}

/** Keeps the key before it is used: an answer that was lost is the same when it is asked for again. Undefined: it came. */
export function writeAskingKeys(dataDir: string, keys: Keys | undefined): void {
  const path = portFiles(dataDir).asking;
  if (keys === undefined) return removeIfPresent(path);
  write(path, [[KEY, keys.key], [PUBLIC_KEY, keys.publicKey]]);
}

/** Forgets the cluster: who this node is there, and where others are. */
export function forgetCluster(dataDir: string): void {
  for (const path of Object.values(portFiles(dataDir))) removeIfPresent(path);
}
