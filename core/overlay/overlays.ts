/**
 * The overlays of a host: one for each lease that it has, and so one a family.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import { bothSet, type ParametersSet } from "../kernel/device_parameters.ts";
import type { EntryCount } from "../kernel/entries.ts";
import type { Wish } from "../kernel/kind.ts";
import type { BackendContext, Companion, PeerPath } from "./backend/backend.ts";
import {
  familyOfKey,
  Overlay,
  type OverlayOptions,
  type Peer,
  type Reconciled,
} from "./overlay.ts";

/** All overlays of this host. */
export class Overlays implements AsyncDisposable {
  readonly #rtnl: NetlinkSocket;
  readonly #options: OverlayOptions;
  readonly #onBroken: () => void;
  readonly #byFamily = new Map<Family, Overlay>();
  /** Peers of families that this host has no lease of (yet). */
  #others: readonly Lease[] = [];

  #keep = false;

  /** @param onBroken Called when what runs beside the kernel ended: a reconcile mends it. */
  constructor(rtnl: NetlinkSocket, options: OverlayOptions, onBroken: () => void) {
    this.#rtnl = rtnl;
    this.#options = options;
    this.#onBroken = onBroken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const overlay of this.#byFamily.values()) await overlay[Symbol.asyncDispose]();
  }

  /** All of them. */
  get all(): readonly Overlay[] {
    return [...this.#byFamily.values()];
  }
  /** What backends are told, one for each lease. */
  get contexts(): BackendContext[] {
    return this.all.flatMap(({ context }) => context === undefined ? [] : [context]);
  }
  /** The peers' leases, of all families. */
  get peers(): Lease[] {
    return this.all.flatMap(({ peers }) => peers);
  }
  /** The peers with the way that leads to each. */
  get paths(): Peer[] {
    return this.all.flatMap(({ paths }) => paths);
  }
  /** The way that leads to a peer; undefined: it is not known. */
  pathTo(lease: Lease): PeerPath | undefined {
    return this.#byFamily.get(lease.family)?.pathTo(lease);
  }
  /** How many entries there are of each kind. */
  get counts(): EntryCount[] {
    const sums = new Map<string, EntryCount>();
    for (const { kind, present, wanted } of this.all.flatMap(({ entries }) => entries.counts)) {
      const sum = sums.get(kind) ?? { kind, present: 0, wanted: 0 };
      sums.set(kind, { kind, present: sum.present + present, wanted: sum.wanted + wanted });
    }
    return [...sums.values()];
  }
  /** Sentences about peers that claim what an older lease has: a subnet, or a VTEP's MAC address. */
  get contests(): string[] {
    const sentences = this.all.flatMap(({ entries }) =>
      entries.wishes.contests.map(({ winner, waiting }) =>
        `Nodes "${winner.owner}" and "${waiting.owner}" claim the same subnet or MAC address: ` +
        `the lease of "${winner.owner}" is older, so the other one cannot be reached`
      )
    );
    return [...new Set(sentences)];
  }
  /** What runs beside the kernel, where a backend has such a thing. */
  get companion(): Pick<Companion, "status"> | undefined {
    return this.all.find(({ companion }) => companion !== undefined)?.companion;
  }
  /** Indexes of the devices and bridges that are made. */
  get devices(): ReadonlySet<number> {
    return new Set(this.all.flatMap(({ device, bridge }) => [device, bridge]).filter(Boolean));
  }

  /** Says what this host is by one of its leases; takes effect with the next reconcile. */
  configure(context: BackendContext): void {
    const { family } = context;
    let overlay = this.#byFamily.get(family);
    if (overlay === undefined) {
      overlay = new Overlay(this.#rtnl, this.#options, this.#onBroken);
      overlay.entries.keep = this.#keep;
      this.#byFamily.set(family, overlay);
      overlay.configure(context);
      overlay.setPeers(this.#others.filter((lease) => lease.family === family));
    } else overlay.configure(context);
  }

  /** Whether entries of peers that are not known stay for now, see `KernelEntries.keep`. */
  get keep(): boolean {
    return this.#keep;
  }
  set keep(keep: boolean) {
    this.#keep = keep;
    for (const { entries } of this.all) entries.keep = keep;
  }

  /** Replaces all peers; takes effect with the next reconcile. */
  setPeers(peers: readonly Lease[]): void {
    this.#others = peers.filter(({ family }) => !this.#byFamily.has(family));
    for (const [family, overlay] of this.#byFamily) {
      overlay.setPeers(peers.filter((lease) => lease.family === family));
    }
  }

  /**
   * Applies changes of some peers, in the kernel too.
   *
   * @param removed Keys of `peerKey`.
   * @throws {NetlinkError} if sending fails as a whole.
   */
  changePeers(changed: readonly Lease[], removed: readonly string[]): Reconciled {
    return together(
      [...this.#byFamily].map(([family, overlay]) =>
        overlay.changePeers(
          changed.filter((lease) => lease.family === family),
          removed.filter((key) => familyOfKey(key) === family),
        )
      ),
    );
  }

  /**
   * Makes the kernel be as it should.
   *
   * @throws {NetlinkError} if the kernel refuses a device or a dump.
   * @throws {KnetError} if another device is in the way.
   */
  reconcile(): Reconciled {
    return together(this.all.map((overlay) => overlay.reconcile()));
  }

  /** Sets kernel parameters of the devices again that somebody changed: no notification tells of most. */
  keepParameters(): ParametersSet {
    const none: ParametersSet = { changes: [], problems: [] };
    return this.all.map((overlay) => overlay.keepParameters()).reduce(bothSet, none);
  }

  /** Whether a notification contradicts what knet believes of peers' entries; never one of what it did itself. */
  contradicts(event: RtnlEvent): boolean {
    return this.all.some(({ entries }) => entries.contradicts(event));
  }

  /**
   * Looks at the kinds that the kernel does not tell of.
   *
   * @returns names of those that are not as knet believes.
   * @throws {NetlinkError}
   */
  poll(): string[] {
    return this.all.flatMap(({ entries }) => entries.poll());
  }

  /** Whether a peer's entry is there as it should be, as far as knet knows. */
  holds(wish: Wish, family: Family): boolean {
    return this.#byFamily.get(family)?.entries.holds(wish) === true;
  }
}

function together(done: readonly Reconciled[]): Reconciled {
  return {
    operations: done.reduce((sum, { operations }) => sum + operations, 0),
    changes: done.flatMap(({ changes }) => changes),
    problems: done.flatMap(({ problems }) => problems),
    failures: done.flatMap(({ failures }) => failures),
  };
}
