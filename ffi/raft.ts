/**
 * What libdqlite has no function for and libraft has: how often its leader shows that it is there, how long it waits for
 * who is to get a vote, and how far a copy is.
 *
 * The functions are libraft's own (raft.h); what they want is the `struct raft` that lies somewhere in a node of dqlite. It is found by
 * what it must begin with, and what does not look like it is left alone: then all is as the library has it.
 *
 * @module
 */
import type { DqliteLibrary } from "./deep_library.ts";
import { libc } from "./libc.ts";
import { MissingLibraryError } from "./load.ts";
import { addressOf, setPointer } from "./memory.ts";

/** Bytes of a node that are looked through; it lies at 2,224 in version 1.11. */
const REACH = 8192;
const WORD = 8;
const HALF = 4;
/** Of `struct raft`: data and tracer come before io, fsm, id and address. */
const BEFORE_IO = 2;
/** Words of `struct raft` within which its two times are. */
const TIMES_WITHIN = 40;

/** The Raft of a node. */
export interface Raft {
  /** Says how many milliseconds lie between signs of life of the one that leads. Before the node is started. */
  setHeartbeat(milliseconds: number): void;
  /**
   * Says how many milliseconds a node that is to get a vote may take for a part of what it lacks. Until it is given up no other change of
   * the members is made.
   */
  setPatience(milliseconds: number): void;
  /** The last change that this copy has applied. */
  lastApplied(): bigint;
}

/** Who the node is, and what it was told. */
export interface RaftMarks {
  readonly id: number;
  readonly address: string;
  /** Milliseconds after which a leader is missed. */
  readonly electionTimeout: number;
  /** Milliseconds between heartbeats. */
  readonly heartbeat: number;
}

/**
 * Copies own memory, as far as there is any: what lies behind a node may belong to nobody.
 *
 * @param address The first byte.
 * @param length Bytes.
 */
export function readOwnMemory(address: number, length: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(length));
  /** struct iovec (bits/types/struct_iovec.h): where, and how much. */
  const vector = (at: number) => {
    const buffer = new ArrayBuffer(2 * WORD);
    const view = new DataView(buffer);
    setPointer(view, 0, at);
    setPointer(view, WORD, length);
    return new Uint8Array(buffer);
  };
  const c = libc();
  const count = Number(
    c.process_vm_readv(c.getpid(), vector(addressOf(bytes.buffer)), 1n, vector(address), 1n, 0n),
  );
  return bytes.subarray(0, Math.max(count, 0));
}

function textAt(address: number, length: number): string {
  const bytes = readOwnMemory(address, length + 1);
  return bytes.at(-1) === 0 ? new TextDecoder().decode(bytes.subarray(0, -1)) : "";
}

/**
 * Where in a node its `struct raft` lies, bytes; undefined if nothing there looks like it, or more than one thing does.
 *
 * @param bytes Of the node.
 * @param base Where they lie.
 */
export function findRaft(
  bytes: Uint8Array,
  base: number,
  { id, address, electionTimeout, heartbeat }: RaftMarks,
  read: (address: number, length: number) => string = textAt,
): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = Math.floor(bytes.length / WORD);
  const word = (at: number) => Number(view.getBigUint64(at * WORD, true));
  const isInside = (value: number) => value > base && value < base + bytes.length;
  const length = new TextEncoder().encode(address).length;
  const hasTimes = (from: number) => {
    const end = Math.min(from + TIMES_WITHIN, words - 1) * WORD;
    for (let at = from * WORD; at < end; at += HALF) {
      const times = [view.getUint32(at, true), view.getUint32(at + HALF, true)];
      if (times[0] === electionTimeout && times[1] === heartbeat) return true;
    }
    return false;
  };
  const found: number[] = [];
  for (let at = BEFORE_IO; at + 4 <= words; at++) {
    const looksLike = isInside(word(at)) && isInside(word(at + 1)) && word(at + 2) === id &&
      hasTimes(at) && read(word(at + 3), length) === address;
    if (looksLike) found.push((at - BEFORE_IO) * WORD);
  }
  return found.length === 1 ? found[0] : undefined;
}

/**
 * The Raft of a node that is not started yet; undefined where it is not found, or the library has not these functions.
 *
 * @param node `dqlite_node *`.
 */
export function raftOf(
  library: DqliteLibrary,
  node: Deno.PointerObject,
  marks: RaftMarks,
): Raft | undefined {
  const base = Number(Deno.UnsafePointer.value(node));
  const at = findRaft(readOwnMemory(base, REACH), base, marks);
  if (at === undefined) return undefined;
  const raft = Deno.UnsafePointer.create(BigInt(base + at));
  try {
    // void raft_set_heartbeat_timeout(struct raft *r, unsigned msecs)
    const setHeartbeat = library.symbol("raft_set_heartbeat_timeout", {
      parameters: ["pointer", "u32"],
      result: "void",
    });
    // void raft_set_max_catch_up_round_duration(struct raft *r, unsigned msecs)
    const setRound = library.symbol("raft_set_max_catch_up_round_duration", {
      parameters: ["pointer", "u32"],
      result: "void",
    });
    // raft_index raft_last_applied(struct raft *r)
    const lastApplied = library.symbol("raft_last_applied", {
      parameters: ["pointer"],
      result: "u64",
    });
    return {
      setHeartbeat: (milliseconds) => setHeartbeat.call(raft, milliseconds),
      setPatience: (milliseconds) => setRound.call(raft, milliseconds),
      lastApplied: () => lastApplied.call(raft),
    };
  } catch (error) {
    if (error instanceof MissingLibraryError) return undefined;
    throw error;
  }
}
