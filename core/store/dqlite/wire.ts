/**
 * The messages of dqlite's protocol as bytes: version 1 of it, schema 0, little-endian, in words of 8 bytes. Pure.
 *
 * A message is a header (length of the body in words, 4 bytes; type, 1; schema, 1; nothing, 2) and a body. Texts end with a zero and are
 * filled up to a word.
 *
 * Bodies are written in `requests.ts` and read in `answers.ts`.
 *
 * @module
 */
/** Bytes of a word. */
export const WORD = 8;
/** Bytes of a message before its body. */
export const HEADER = 8;
/** The most words that a message may have here: 64 MiB. What says more is no dqlite. */
const MOST_WORDS = 8 << 20;

/** The most parameters of a statement: their number is one byte. */
export const MOST_PARAMETERS = 255;

/** What a client says first. */
export const PROTOCOL: Uint8Array = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);

/** Types of requests. */
export const REQUEST = {
  leader: 0,
  open: 3,
  execSql: 8,
  querySql: 9,
  connect: 11,
  add: 12,
  assign: 13,
  remove: 14,
  dump: 15,
  cluster: 16,
  transfer: 17,
} as const;

/** Types of answers. */
export const RESPONSE = {
  failure: 0,
  server: 1,
  servers: 3,
  db: 4,
  result: 6,
  rows: 7,
  empty: 8,
  files: 9,
} as const;

/** What a node does: it votes, it keeps a copy without a vote, or neither. */
export type Role = "voter" | "standby" | "spare";
/** By their numbers. */
export const ROLES: readonly Role[] = ["voter", "standby", "spare"];

/** A node of the cluster as the others know it. */
export interface Member {
  readonly id: number;
  readonly address: string;
  readonly role: Role;
}

/** The bytes are no message of dqlite's. */
export class WireError extends Error {
  /** Always "WireError". */
  override readonly name = "WireError";

  /** @param state What is wrong with them. */
  constructor(state: string) {
    super(`Cannot read dqlite's answer: ${state}`);
  }
}

/** Bytes that so many take when they are filled up to a word. */
export const padded = (bytes: number) => Math.ceil(bytes / WORD) * WORD;

/** SQLite's types of values (sqlite3.h), and three that dqlite adds for columns of certain declared types. */
export const TYPE = {
  integer: 1,
  float: 2,
  text: 3,
  blob: 4,
  null: 5,
  unixtime: 9,
  iso8601: 10,
  boolean: 11,
} as const;

/** The head of a message. */
export interface Head {
  /** Bytes of the body. */
  readonly length: number;
  readonly type: number;
}

/**
 * Reads the head of a message.
 *
 * @throws {WireError} if it is too long to be one.
 */
export function readHead(bytes: Uint8Array): Head {
  const words = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (words > MOST_WORDS) throw new WireError(`a message of ${words} words`);
  return { length: words * WORD, type: bytes[4]! };
}
