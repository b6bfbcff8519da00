/**
 * The text by which a host joins: where the cluster is, how to know it, and a secret that is good once or until its time is over. The
 * secret opens no data: it lets one ask for a certificate.
 *
 * `knet1.` and base64url (RFC 4648) of: SHA-256 of the authority's certificate (32 bytes), id (6), secret (16), port (2, big-endian),
 * addresses (each 4 or 16 bytes with their number before), and the first 4 bytes of the SHA-256 of all that.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { formatAddress, parseAddress } from "../../ffi/ip.ts";
import { KnetError } from "../base/error.ts";

/** What a token begins with. */
export const TOKEN_PREFIX = "knet1.";

/** What a token says. */
export interface Token {
  /** See {@linkcode fingerprint}: 32 bytes. */
  readonly authority: Uint8Array<ArrayBuffer>;
  /** Its name among the cluster's tokens, hexadecimal; no secret. */
  readonly id: string;
  /** 16 bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
  /** Where agents listen, TCP. */
  readonly port: number;
  /** Hosts that let others in, of either family; they are asked in this order. */
  readonly addresses: readonly string[];
}

const FINGERPRINT = 32;
const ID = 6;
const SECRET = 16;
const CHECKSUM = 4;
/** Addresses in a token: it has to be carried by hand. */
export const MOST_ADDRESSES = 8;
/** Characters of the longest token. */
const LONGEST = 512;

const checksum = (bytes: Uint8Array) =>
  createHash("sha256").update(bytes).digest().subarray(0, CHECKSUM);

/** Whether a word is meant for a token. */
export function looksLikeToken(word: string): boolean {
  return /^knet[0-9]+\./.test(word.trim());
}

/** Makes the id and the secret of a token. */
export function makeSecret(): Pick<Token, "id" | "secret"> {
  return {
    id: Buffer.from(crypto.getRandomValues(new Uint8Array(ID))).toString("hex"),
    secret: crypto.getRandomValues(new Uint8Array(SECRET)),
  };
}

/** Writes a token. */
export function formatToken({ authority, id, secret, port, addresses }: Token): string {
  const each = addresses.slice(0, MOST_ADDRESSES).map(parseAddress);
  const bytes = Buffer.concat([
    authority,
    Buffer.from(id, "hex"),
    secret,
    Buffer.from([port >> 8, port & 255]),
    ...each.flatMap((address) => [Buffer.from([address.length]), address]),
  ]);
  return TOKEN_PREFIX + Buffer.concat([bytes, checksum(bytes)]).toString("base64url");
}

/**
 * Reads a token, which may have been broken over lines.
 *
 * @throws {KnetError} exit code 2 if it is none, was cut short or mistyped, or is of a newer knet. The secret is not in the message.
 */
export function parseToken(text: string): Token {
  const wrong = (
    state: string,
    remedy = "Copy it again, whole, from where knet token printed it",
  ) => new KnetError(`Cannot use this token: ${state}`, { exitCode: 2, remedy });
  const word = text.replaceAll(/\s+/g, "");
  if (!looksLikeToken(word)) throw wrong(`it does not begin with "${TOKEN_PREFIX}"`);
  if (!word.startsWith(TOKEN_PREFIX)) {
    throw wrong("another version of knet made it", "Run the same version on all hosts");
  }
  const body = word.slice(TOKEN_PREFIX.length);
  if (word.length > LONGEST || !/^[A-Za-z0-9_-]*$/.test(body)) {
    throw wrong("it was mistyped, or something was added to it");
  }
  const all = new Uint8Array(Buffer.from(body, "base64url"));
  const bytes = all.subarray(0, -CHECKSUM);
  const head = FINGERPRINT + ID + SECRET + 2;
  if (bytes.length < head || !checksum(bytes).equals(all.subarray(-CHECKSUM))) {
    throw wrong("it was cut short or mistyped");
  }
  const addresses: string[] = [];
  for (let at = head; at < bytes.length;) {
    const length = bytes[at]!;
    const address = bytes.subarray(at + 1, at + 1 + length);
    if ((length !== 4 && length !== 16) || address.length !== length) {
      throw wrong("it holds what is no address");
    }
    addresses.push(formatAddress(address, 0, length === 4 ? 4 : 6));
    at += 1 + length;
  }
  const port = bytes[head - 2]! * 256 + bytes[head - 1]!;
  if (addresses.length === 0 || port === 0) throw wrong("it says of no host where it is");
  return {
    authority: bytes.slice(0, FINGERPRINT),
    id: Buffer.from(bytes.subarray(FINGERPRINT, FINGERPRINT + ID)).toString("hex"),
    secret: bytes.slice(FINGERPRINT + ID, FINGERPRINT + ID + SECRET),
    port,
    addresses,
  };
}
