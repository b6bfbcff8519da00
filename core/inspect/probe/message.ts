/**
 * What hosts ask each other to try the paths between them, as bytes. Pure.
 *
 * An answer is as long as the shortest question: whoever forges a question's source makes no more of it than he sends.
 *
 * ```text
 *  0  "knp1"
 *  4  kind: 1 question, 2 answer
 *  5  bit 0: the sender heard an answer of the receiver's on this way lately
 *  6  bytes of the question, UDP payload
 *  8  nonce
 * 16  answer: the question's source address, as it came
 * 20  answer: its port
 * 22  answer: its hop limit, 0 where it is not known
 * 24  the sender's subnet, its first address
 * 28  MTU of the sender's overlay
 * 30  0
 * ```
 *
 * @module
 */

/** UDP port that agents try paths by, at both ends. */
export const PROBE_PORT = 9473;

/** What a lease says of a host whose agent answers questions of this form. */
export const PROBE_VERSION = 1;

/** Bytes of an answer, and of the shortest question. */
export const SHORTEST = 32;

/** Bytes around the payload of a UDP datagram, or of an ICMP echo, by IPv4. */
export const IP_AND_UDP = 28;

const MAGIC = 0x6b6e7031;
const QUESTION = 1;
const ANSWER = 2;

/** What is common to both. Addresses are numbers. */
interface Common {
  /** Whether the sender heard an answer of the receiver's on this way lately. */
  readonly heard: boolean;
  readonly nonce: bigint;
  /** First address of the sender's subnet. */
  readonly subnet: number;
  /** MTU of the sender's overlay, bytes. */
  readonly mtu: number;
  /** Bytes of the question. */
  readonly length: number;
}

/** A question. */
export interface Question extends Common {
  readonly kind: "question";
}

/** An answer. */
export interface Answer extends Common {
  readonly kind: "answer";
  /** Whom the question came from, as it arrived. */
  readonly seen: { readonly address: number; readonly port: number; readonly ttl: number };
}

function write(kind: number, message: Common, bytes: Uint8Array<ArrayBuffer>): DataView {
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, kind);
  view.setUint8(5, message.heard ? 1 : 0);
  view.setUint16(6, message.length);
  view.setBigUint64(8, message.nonce);
  view.setUint32(24, message.subnet);
  view.setUint16(28, message.mtu);
  return view;
}

/**
 * A question as it goes out, as long as it says.
 *
 * @throws {RangeError} if it is shorter than an answer.
 */
export function encodeQuestion(question: Omit<Question, "kind">): Uint8Array<ArrayBuffer> {
  if (question.length < SHORTEST) {
    throw new RangeError(`Cannot ask in ${question.length} bytes: ${SHORTEST} are the least`);
  }
  const bytes = new Uint8Array(new ArrayBuffer(question.length));
  write(QUESTION, question, bytes);
  return bytes;
}

/** An answer as it goes out. */
export function encodeAnswer(answer: Omit<Answer, "kind">): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(SHORTEST));
  const view = write(ANSWER, answer, bytes);
  view.setUint32(16, answer.seen.address);
  view.setUint16(20, answer.seen.port);
  view.setUint8(22, answer.seen.ttl);
  return bytes;
}

/** Reads what came; undefined if it is neither, or not as long as it says. */
export function decodeMessage(bytes: Uint8Array): Question | Answer | undefined {
  if (bytes.length < SHORTEST) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0) !== MAGIC) return undefined;
  const kind = view.getUint8(4);
  const common = {
    heard: (view.getUint8(5) & 1) !== 0,
    length: view.getUint16(6),
    nonce: view.getBigUint64(8),
    subnet: view.getUint32(24),
    mtu: view.getUint16(28),
  };
  if (kind === QUESTION) {
    return common.length === bytes.length ? { kind: "question", ...common } : undefined;
  }
  if (kind !== ANSWER || bytes.length !== SHORTEST) return undefined;
  const seen = { address: view.getUint32(16), port: view.getUint16(20), ttl: view.getUint8(22) };
  return { kind: "answer", ...common, seen };
}

const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
/** Bytes of an ICMP echo's head, and of that with a nonce. */
const ICMP = 8;
const SHORTEST_ECHO = ICMP + 8;

/** An ICMP echo request (RFC 792) that bears a nonce; `length` is that of the ICMP message, at least 16 bytes. */
export function encodeEcho(nonce: bigint, length = SHORTEST_ECHO): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(length));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, ECHO_REQUEST);
  view.setUint16(4, Number(nonce & 0xffffn));
  view.setUint16(6, Number((nonce >> 16n) & 0xffffn));
  view.setBigUint64(ICMP, nonce);
  let sum = 0;
  for (let at = 0; at < SHORTEST_ECHO; at += 2) sum += view.getUint16(at); // The rest is zeros.
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  view.setUint16(2, ~sum & 0xffff);
  return bytes;
}

/** The nonce of an echo reply; undefined if it is none of ours, as far as its head tells. */
export function decodeEchoReply(bytes: Uint8Array): bigint | undefined {
  if (bytes.length < SHORTEST_ECHO || bytes[0] !== ECHO_REPLY || bytes[1] !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const nonce = view.getBigUint64(ICMP);
  const head = BigInt(view.getUint16(4)) | BigInt(view.getUint16(6)) << 16n;
  return head === (nonce & 0xffff_ffffn) ? nonce : undefined;
}

/**
 * How many routers a packet passed, by the hop limit that it arrived with: senders begin with 64, 128 or 255.
 *
 * @returns undefined where that is not known.
 */
export function hopsOf(ttl: number | undefined): number | undefined {
  if (ttl === undefined || ttl === 0) return undefined;
  return (ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255) - ttl;
}
