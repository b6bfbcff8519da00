/**
 * A kind of kernel object: all that reading, planning, applying, drift, status and metrics have to know of routes, say, as one value.
 * Adding a kind is adding a file to `kinds/`.
 *
 * @module
 */
import type { Batch } from "../../ffi/netlink/batch.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import type { Family } from "../cluster/lease.ts";

/** Routing protocol number that marks what can be marked as knet's (linux/rtnetlink.h leaves 107 free). */
export const KNET_PROTOCOL = 107;

/** How an entry is written: "add" fails if the key is taken, by a foreign route for one; "replace" overwrites our own. */
export type Verb = "add" | "replace" | "delete";

/** Which part of the kernel's tables is looked at. */
export interface Scope {
  readonly family: Family;
  /** Index of the overlay's device; undefined where there is none. */
  readonly device: number | undefined;
  /** Look at what others have, too, as far as it may stand in the way. */
  readonly wide?: boolean;
}

/** A netlink socket of another protocol than rtnetlink. */
export interface Channel {
  readonly name: string;
  /** @throws {NetlinkError} if the kernel has no such protocol. */
  readonly open: () => NetlinkSocket;
}

/**
 * One kind. `Entry` is an object as it should be and as the kernel shows it: the same type. All functions are pure, but for `list`.
 */
export interface Kind<Entry = unknown> {
  /** For people and metrics: `route`. */
  readonly name: string;
  /** What is written first has the lowest rank; what is deleted goes the other way. No two kinds have the same. */
  readonly rank: number;
  /** The socket it goes by; absent: rtnetlink's. */
  readonly channel?: Channel;
  /**
   * What the kernel holds one of: two entries with one key cannot both be. Undefined for an entry that can never be wanted, such as a
   * route with another metric than knet's.
   */
  key(entry: Entry): string | undefined;
  /**
   * Whether an entry is as it should be, in every attribute that knet sets.
   *
   * @param number of the entry that carries it, where one does.
   */
  same(wanted: Entry, present: Entry, number: number | undefined): boolean;
  /** Writes one message. */
  encode(batch: Batch, verb: Verb, entry: Entry): void;
  /**
   * Dumps what there is; with a wide scope what others have, too.
   *
   * @throws {NetlinkError}
   */
  list(socket: NetlinkSocket, scope: Scope): Iterable<Entry>;
  /** Whether an entry is knet's to change. */
  ours(entry: Entry, scope: Scope): boolean;
  /** Write with "replace" in any case: the kernel itself makes entries of this kind. */
  readonly overwrites?: true;
  /** Multicast groups of rtnetlink that tell of changes. A kind without `told` is polled. */
  groups?(family: Family): readonly number[];
  /** The entry that a notification is about, if it is of this kind. */
  told?(event: RtnlEvent): Entry | undefined;
  /** Whether a notification about an entry that knet knows nothing of is no news: the kernel makes and ages some by itself. */
  fleeting?(told: Entry): boolean;
  /** Whether a deletion that the kernel tells of means this entry; absent: yes. A replacement may be told as the deletion of what was. */
  gone?(known: Entry, told: Entry): boolean;
  /** Where others name entries of this kind by a number that is given out. */
  readonly numbers?: Numbers<Entry>;
  /** Where an entry is carried by one of another kind that has numbers. */
  readonly carrier?: Carrier<Entry>;
}

/** Numbers of a kind's entries. */
export interface Numbers<Entry> {
  /** The first of knet's own range. */
  readonly first: number;
  of(entry: Entry): number;
  /** The entry with its number. */
  assign(entry: Entry, number: number): Entry;
}

/** What entries are carried by. */
export interface Carrier<Entry> {
  readonly kind: Kind;
  /** Key of the carrier; undefined for an entry that needs none. */
  key(entry: Entry): string | undefined;
  /** Number of the carrier that an entry names; undefined for one that names none. */
  of(entry: Entry): number | undefined;
  /** The entry as it names its carrier. */
  assign(entry: Entry, number: number): Entry;
}

/** On whose behalf something is wanted: of two wishes for one key the older claim's is fulfilled. */
export interface Claim {
  /** When the lease was acquired, milliseconds since the epoch. */
  readonly since: number;
  /** Node id; decides between claims of one moment. */
  readonly owner: string;
}

/** The claim of what is wanted with and without peers. */
export const OWN_CLAIM: Claim = { since: -Infinity, owner: "" };

/** An entry that should be in the kernel. */
export interface Wish<Entry = unknown> {
  readonly kind: Kind<Entry>;
  readonly value: Entry;
  readonly claim: Claim;
}

/** An entry of a kind that should be in the kernel. */
export function wish<Entry>(kind: Kind<Entry>, value: Entry, claim: Claim): Wish {
  return { kind: kind as Kind, value, claim };
}

/** The sockets that kinds go by, each opened when it is first needed. */
export class KernelSockets implements Disposable {
  readonly #rtnl: NetlinkSocket;
  readonly #others = new Map<Channel, NetlinkSocket>();

  /** @param rtnl rtnetlink's, which stays the caller's to close. */
  constructor(rtnl: NetlinkSocket) {
    this.#rtnl = rtnl;
  }

  /** @throws {NetlinkError} if it cannot be opened. */
  of(kind: Pick<Kind, "channel">): NetlinkSocket {
    const { channel } = kind;
    if (channel === undefined) return this.#rtnl;
    let socket = this.#others.get(channel);
    if (socket === undefined) this.#others.set(channel, socket = channel.open());
    return socket;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#others.values()) socket[Symbol.dispose]();
    this.#others.clear();
  }
}
