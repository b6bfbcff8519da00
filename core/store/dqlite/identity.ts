/**
 * Who a node is: its id, its address, and the files that remember both.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { KnetError, messageOf } from "../../base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../../base/files.ts";
import { parseShape } from "../../base/shape.ts";
import type { Member } from "./wire.ts";

/** Files in the directory of a replica. */
export const filesIn = (directory: string) => ({
  /** Who the node is. */
  node: join(directory, "node.json"),
  /** The cluster's members when the node saw them last. */
  members: join(directory, "members.json"),
  /** What the library writes. */
  data: join(directory, "data"),
  /** A copy of `data` on which a recovery works. */
  recovering: join(directory, "recovering"),
  /** What `data` was before it was recovered, or given up for a cluster that was. */
  before: join(directory, "before"),
  /** The socket by which this host's programs, and the library itself, reach nodes. */
  door: join(directory, "door"),
  /** Held by the agent that runs the node. */
  lock: join(directory, "lock"),
});

/** A node of a host. */
export interface NodeIdentity {
  readonly id: number;
  /** See {@linkcode addressOf}. */
  readonly address: string;
  /** Whether the node is, or was, a member of a cluster: it then has data, and never begins a cluster again. */
  readonly member: boolean;
  /**
   * Which of the clusters that were made one after the other of what was left of the one before: 0 (or absent) for one that was never
   * recovered, then the time of its recovery, seconds since 1970.
   */
  readonly generation?: number;
  /** A recovery that has begun. */
  readonly recovery?: Recovery;
}

/** A recovery, until it is done. */
export interface Recovery {
  /**
   * `copy`: the data is being made. `accept`: the node is to run, and the store to begin a new epoch, before anybody is served. `again`: it
   * was another host's copy, and this one is given up: the node joins as a new one.
   */
  readonly stage: "copy" | "accept" | "again";
  /** The node's id from then on: to whoever knows it by the one before, it is not there. */
  readonly id: number;
  readonly generation: number;
  /** Hosts (node ids) that are believed no more. */
  readonly dropped: readonly string[];
}

/** The id with which the library lets a node begin a cluster. */
export const FIRST_ID = 1;

/** Ids are numbers up to this. */
const MOST_ID = 2 ** 48;

/** An id for a node that begins no cluster, without a pattern that two hosts could have in common. */
export function newNodeId(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return FIRST_ID + 1 + (high! * 2 ** 21 + (low! >>> 11)) % MOST_ID;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * The address of a node: the host's name for the cluster, which is no address of any network, and the node's id. A node that lost its
 * data has another id and thus another address.
 *
 * @throws {KnetError} exit code 2 if the name is none.
 */
export function addressOf(name: string, id: number): string {
  if (!NAME.test(name)) {
    throw new KnetError(`Cannot make a replica for the host "${name}": that is no name`, {
      exitCode: 2,
      remedy: "Use letters, digits, dots, hyphens and underscores, 128 at most",
    });
  }
  return `${name}/${id}`;
}

/** The host's name in a node's address. */
export function nameOf(address: string): string {
  return address.slice(0, address.includes("/") ? address.lastIndexOf("/") : undefined);
}

const ID = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const NODE: v.GenericSchema<unknown, NodeIdentity> = v.looseObject({
  id: ID,
  address: v.string(),
  member: v.boolean(),
  generation: v.exactOptional(v.pipe(v.number(), v.safeInteger())),
  recovery: v.exactOptional(v.object({
    stage: v.picklist(["copy", "accept", "again"]),
    id: ID,
    generation: v.pipe(v.number(), v.safeInteger()),
    dropped: v.array(v.string()),
  })),
});

const MEMBERS: v.GenericSchema<unknown, Member[]> = v.array(v.looseObject({
  id: ID,
  address: v.string(),
  role: v.picklist(["voter", "standby", "spare"]),
}));

function read<T>(path: string, shape: v.GenericSchema<unknown, T>): T | undefined {
  const text = readTextIfPresent(path);
  if (text === undefined) return undefined;
  try {
    return parseShape(shape, text);
  } catch (error) {
    throw new KnetError(`Cannot read "${path}": ${messageOf(error)}`, {
      remedy: "Move the replica's directory away, and let this host join the cluster again",
    });
  }
}

/** Who the node is; undefined where there never was one. */
export function readIdentity(directory: string): NodeIdentity | undefined {
  return read(filesIn(directory).node, NODE);
}

/** Remembers who the node is. */
export function writeIdentity(directory: string, identity: NodeIdentity): void {
  writeFileAtomically(filesIn(directory).node, `${JSON.stringify(identity)}\n`, 0o600);
}

/** The members that the node saw last; none where it saw none. */
export function readMembersFile(directory: string): Member[] {
  return read(filesIn(directory).members, MEMBERS) ?? [];
}

/** Remembers the members. */
export function writeMembersFile(directory: string, members: readonly Member[]): void {
  writeFileAtomically(filesIn(directory).members, `${JSON.stringify(members)}\n`, 0o600);
}
