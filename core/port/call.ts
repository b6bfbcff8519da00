/**
 * What hosts of a cluster that have lost each other call out on their segment: a datagram of one length, question or answer, so that an
 * answer is never longer than what it was asked by.
 *
 * Nothing in it is secret, and nothing in it is believed: who is at an address proves it by TLS. Pure.
 *
 * @module
 */
import { isNodeWord } from "../cluster/node_word.ts";

/** Bytes of a call. */
export const CALL_LENGTH = 160;
/** Bytes of the authority's fingerprint that a call bears. */
export const CLUSTER_LENGTH = 16;
/** Bytes of {@linkcode Call.nonce}. */
export const NONCE_LENGTH = 8;

const MAGIC = new TextEncoder().encode("knet");
const VERSION = 1;
const QUESTION = 1;
const ANSWER = 2;
/** Where the fields are: magic, version, kind, port, cluster, nonce, and two names of a byte that has the length and 63 at most. */
const [AT_VERSION, AT_KIND, AT_PORT, AT_CLUSTER, AT_NONCE, AT_FROM, AT_TO] = [
  4,
  5,
  6,
  8,
  24,
  32,
  96,
] as const;
const LONGEST_NAME = 63;

/** A call. */
export interface Call {
  readonly kind: "question" | "answer";
  /** TCP port of the caller's agent. */
  readonly port: number;
  /** The beginning of the fingerprint of the cluster's authority. */
  readonly cluster: Uint8Array;
  /** Of a question, by chance; the answer has the same. */
  readonly nonce: Uint8Array;
  /** Node id of the caller. */
  readonly from: string;
  /** Node id of whom it is for; empty: of anybody. */
  readonly to: string;
}

/** A call as it is sent. */
export function writeCall({ kind, port, cluster, nonce, from, to }: Call): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(CALL_LENGTH));
  bytes.set(MAGIC);
  bytes[AT_VERSION] = VERSION;
  bytes[AT_KIND] = kind === "question" ? QUESTION : ANSWER;
  new DataView(bytes.buffer).setUint16(AT_PORT, port);
  bytes.set(cluster.subarray(0, CLUSTER_LENGTH), AT_CLUSTER);
  bytes.set(nonce.subarray(0, NONCE_LENGTH), AT_NONCE);
  for (const [at, name] of [[AT_FROM, from], [AT_TO, to]] as const) {
    const text = new TextEncoder().encode(name).subarray(0, LONGEST_NAME);
    bytes[at] = text.length;
    bytes.set(text, at + 1);
  }
  return bytes;
}

/** Reads a call; undefined if the datagram is none. */
export function readCall(bytes: Uint8Array): Call | undefined {
  if (bytes.length !== CALL_LENGTH || MAGIC.some((byte, n) => bytes[n] !== byte)) return undefined;
  if (bytes[AT_VERSION] !== VERSION) return undefined;
  const kind = bytes[AT_KIND] === QUESTION
    ? "question"
    : bytes[AT_KIND] === ANSWER
    ? "answer"
    : undefined;
  const port = bytes[AT_PORT]! * 256 + bytes[AT_PORT + 1]!;
  const [from, to] = [readName(bytes, AT_FROM), readName(bytes, AT_TO)];
  if (kind === undefined || port === 0 || !from || to === undefined) return undefined;
  return {
    ...{ kind, port, from, to },
    cluster: bytes.slice(AT_CLUSTER, AT_CLUSTER + CLUSTER_LENGTH),
    nonce: bytes.slice(AT_NONCE, AT_NONCE + NONCE_LENGTH),
  };
}

function readName(bytes: Uint8Array, at: number): string | undefined {
  const length = bytes[at]!;
  if (length > LONGEST_NAME) return undefined;
  const rest = bytes.subarray(at + 1 + length, at + 1 + LONGEST_NAME);
  if (rest.some((byte) => byte !== 0)) return undefined;
  // Each byte a character: whatever is no letter of ASCII is no node id either.
  const name = String.fromCharCode(...bytes.subarray(at + 1, at + 1 + length));
  return name === "" || isNodeWord(name) ? name : undefined;
}

/** Whether an address (IPv4, a number) can be a host's: not none, not this host's loopback, nobody's group, not all. */
export function isHostAddress(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}
