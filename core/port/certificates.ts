/**
 * The cluster's authority, and what its certificates say: which node, and what it may do.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { isP256Key, makeCertificate, readCertificate } from "../../ffi/openssl/certificate.ts";
import { wallClock } from "../base/clock.ts";
import { KnetError } from "../base/error.ts";
import { checkNodeWord } from "../cluster/node_word.ts";

/** What a certificate allows: a node changes its own lease and containers, an admin everything. */
export type Role = "node" | "admin";

/** All roles. */
export const ROLES: readonly Role[] = ["node", "admin"];

/** Who is at the other end of a connection, proven. */
export interface Peer {
  readonly nodeId: string;
  readonly role: Role;
  /** Its certificate's, in hexadecimal. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** An authority that can sign. */
export interface Authority {
  /** DER. */
  readonly certificate: Uint8Array<ArrayBuffer>;
  /** PKCS #8. Whoever has it can be any node of the cluster. */
  readonly key: Uint8Array<ArrayBuffer>;
}

/** A pair of keys (ECDSA, P-256). */
export interface Keys {
  /** PKCS #8. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
}

const DAY = 86_400_000;
/** Milliseconds that a node's certificate holds; it is renewed after half of them. */
export const CERTIFICATE_LIFE = 90 * DAY;
/** Milliseconds before now from which it holds: clocks of hosts without a time server differ. */
const BACKDATED = DAY;
/** Milliseconds that an authority holds. */
const AUTHORITY_LIFE = 20 * 365 * DAY;
/** What all names of certificates have in common. */
const ORGANIZATION = "knet";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;

/** Makes keys. */
export async function makeKeys(): Promise<Keys> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  return {
    key: new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)),
    publicKey: new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)),
  };
}

/** Makes an authority, which no other cluster has. */
export async function makeAuthority(): Promise<Authority> {
  const { key, publicKey } = await makeKeys();
  const now = wallClock();
  const certificate = makeCertificate({
    subject: { organization: ORGANIZATION, commonName: `authority ${crypto.randomUUID()}` },
    publicKey,
    notBefore: now - BACKDATED,
    notAfter: now + AUTHORITY_LIFE,
    signer: { key },
  });
  return { certificate, key };
}

/**
 * Certifies a node.
 *
 * @param life Milliseconds from now that it holds.
 * @returns DER.
 * @throws {KnetError} exit code 2 if the key is none of P-256, or the node's id is malformed.
 */
export function certify(
  authority: Authority,
  node: {
    readonly nodeId: string;
    readonly role: Role;
    readonly publicKey: Uint8Array<ArrayBuffer>;
  },
  life = CERTIFICATE_LIFE,
): Uint8Array<ArrayBuffer> {
  if (!isP256Key(node.publicKey)) {
    throw new KnetError("Cannot certify a node: its key is none of P-256", { exitCode: 2 });
  }
  const now = wallClock();
  return makeCertificate({
    subject: {
      organization: ORGANIZATION,
      organizationalUnit: node.role,
      commonName: checkNodeWord("node id", node.nodeId),
    },
    publicKey: node.publicKey,
    notBefore: now - BACKDATED,
    notAfter: now + life,
    signer: authority,
  });
}

/**
 * Whom a certificate names, which the authority signed.
 *
 * @throws {KnetError} if it names no node, as the authority's own.
 */
export function peerOf(certificate: Uint8Array<ArrayBuffer>): Peer {
  const { organization, organizationalUnit, commonName, serial, notAfter } = readCertificate(
    certificate,
  );
  const role = ROLES.find((role) => role === organizationalUnit);
  if (organization !== ORGANIZATION || role === undefined) {
    throw new KnetError("Cannot take a certificate: it names no node");
  }
  return { nodeId: checkNodeWord("node id", commonName), role, serial, notAfter };
}

/** What tells an authority from all others: SHA-256 of its certificate, 32 bytes. */
export function fingerprint(certificate: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(certificate).digest());
}
