/**
 * The entries of one overlay in the kernel's tables: what should be there, what is, and the way from one to the other, over all kinds.
 *
 * Everything here is synchronous: between two awaits of the caller the kernel is in one piece.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import { apply, type Failure } from "./apply.ts";
import { contradicts, pollDrift } from "./entry_drift.ts";
import { KernelSockets, type Kind, type Scope, type Wish } from "./kind.ts";
import { KINDS } from "./kinds/kinds.ts";
import { carrierNumbers, plan } from "./plan.ts";
import { readTable, readTables, Tables } from "./tables.ts";
import { Touched, Wishes } from "./wishes.ts";

/** What was done. */
export interface Converged {
  /** Messages sent. */
  readonly operations: number;
  readonly failures: readonly Failure[];
}

/** How many entries of a kind there are. */
export interface EntryCount {
  readonly kind: string;
  readonly present: number;
  readonly wanted: number;
}

/** What of the kernel's abilities is used. */
export interface EntriesOptions {
  /** Absent: all of knet's. */
  readonly kinds?: readonly Kind[];
  /** Kinds that are not to be used: entries that one of them would carry are written without. */
  readonly without?: readonly Kind[];
}

/** Entries of one overlay. */
export class KernelEntries implements Disposable {
  readonly #kinds: readonly Kind[];
  readonly #without: readonly Kind[];
  readonly #sockets: KernelSockets;
  readonly #port: number;
  #wishes: Wishes;
  #tables = new Tables();
  #scope: Scope = { family: 4, device: undefined };

  /** @param rtnl rtnetlink's socket, which stays the caller's to close. */
  constructor(rtnl: NetlinkSocket, { kinds = KINDS, without = [] }: EntriesOptions = {}) {
    this.#kinds = kinds;
    this.#without = without;
    this.#sockets = new KernelSockets(rtnl);
    this.#port = rtnl.portId;
    this.#wishes = new Wishes(without);
  }

  [Symbol.dispose](): void {
    this.#sockets[Symbol.dispose]();
  }

  /**
   * Whether entries that nobody wishes for stay: the wishes are from a snapshot, which may lack what came after it was written. What
   * is deleted is deleted by the store's word.
   */
  keep = false;

  /** What should be there. */
  get wishes(): Wishes {
    return this.#wishes;
  }
  /** What knet believes is there. */
  get tables(): Tables {
    return this.#tables;
  }
  /** Where to look. */
  get scope(): Scope {
    return this.#scope;
  }
  set scope(scope: Scope) {
    this.#scope = scope;
  }

  /** Forgets all wishes; takes effect with the next {@linkcode converge}. */
  clear(): void {
    this.#wishes = new Wishes(this.#without);
  }

  /**
   * Reads what there is, and changes nothing.
   *
   * @throws {NetlinkError} if the kernel refuses a dump.
   */
  read(): void {
    this.#tables = readTables(this.#kinds, this.#sockets, this.#scope, this.#tables);
  }

  /**
   * Reads everything with one dump a kind and makes it be as it should.
   *
   * @throws {NetlinkError} if the kernel refuses a dump, or sending fails as a whole.
   */
  converge(): Converged {
    const before = this.#tables;
    this.read();
    this.#widen(before);
    const done = this.push();
    if (done.failures.length === 0) return done;
    // A number of ours that somebody else took, or a device that changed under our hands: look again, wider.
    const wide = { ...this.#scope, wide: true };
    this.#tables = readTables(this.#kinds, this.#sockets, wide, before);
    return this.push();
  }

  /** Numbers are given out only in the knowledge of all that are taken, and an entry may be where the narrow look does not see it. */
  #widen(before: Tables): void {
    const wide = { ...this.#scope, wide: true };
    for (const kind of this.#kinds) {
      if (kind.numbers === undefined || !this.#lacks(kind)) continue;
      this.#tables.set(kind, readTable(kind, this.#sockets, wide, before));
    }
  }

  #lacks(kind: Kind): boolean {
    const { entries } = this.#tables.of(kind);
    for (const key of this.#wishes.of(kind).keys()) if (!entries.has(key)) return true;
    return false;
  }

  /**
   * Sends what differs from what knet believes, without reading anything.
   *
   * @param touched Look at these keys only.
   * @throws {NetlinkError} if sending fails as a whole.
   */
  push(touched?: Touched): Converged {
    const options = { touched, keep: this.keep };
    const operations = plan(this.#wishes, this.#tables, this.#kinds, options);
    const failures = apply(this.#sockets, operations, this.#tables);
    return { operations: operations.length, failures };
  }

  /** Whether a notification contradicts what knet believes; never one of what it did itself. */
  contradicts(event: RtnlEvent): boolean {
    return event.pid !== this.#port &&
      contradicts(this.#kinds, event, this.#tables, this.#scope);
  }

  /**
   * Looks at the kinds that the kernel does not tell of.
   *
   * @returns names of those that are not as knet believes.
   * @throws {NetlinkError}
   */
  poll(): string[] {
    return pollDrift(this.#kinds, this.#sockets, this.#tables, this.#scope);
  }

  /** Whether an entry is there as it should be, as far as knet knows. */
  holds({ kind, value }: Wish): boolean {
    const key = kind.key(value);
    const present = key === undefined ? undefined : this.#tables.of(kind).entries.get(key);
    return present !== undefined &&
      kind.same(
        value,
        present,
        carrierNumbers(kind, this.#wishes, this.#tables)?.(value),
      );
  }

  /** How many there are of each kind. */
  get counts(): EntryCount[] {
    return this.#kinds.map((kind) => ({
      kind: kind.name,
      present: this.#tables.of(kind).entries.size,
      wanted: this.#wishes.of(kind).size,
    }));
  }
}
