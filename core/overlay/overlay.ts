/**
 * One family's overlay of this host: devices and peers' entries, as they should be and as knet believes they are. Made once for each
 * lease of the host.
 *
 * Everything here is synchronous: between two awaits of the agent the kernel is in one piece.
 *
 * Longer than others, because making, changing and taking down one family's overlay share all of its state.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import type { Failure } from "../kernel/apply.ts";
import {
  forwarding,
  type Parameter,
  type ParametersSet,
  setParameters,
} from "../kernel/device_parameters.ts";
import { type DeviceSpec, type EnsuredDevice, ensureDevice } from "../kernel/devices.ts";
import { KernelEntries } from "../kernel/entries.ts";
import type { Kind } from "../kernel/kind.ts";
import { kindsOf } from "../kernel/kinds/kinds.ts";
import { nexthop } from "../kernel/kinds/nexthop.ts";
import { type Known, removeStaleDevices } from "../kernel/stale_devices.ts";
import { Touched } from "../kernel/wishes.ts";
import {
  type Backend,
  type BackendContext,
  type Companion,
  NO_PATH,
  type PeerPath,
} from "./backend/backend.ts";
import { backendOf } from "./backend/backends.ts";
import { bridgeSpec, equip } from "./own_devices.ts";

const log = getLogger(["knet", "overlay"]);

/** What a reconcile did. */
export interface Reconciled {
  /** Messages sent for peers' entries. */
  readonly operations: number;
  /** What was done to devices, in words. */
  readonly changes: readonly string[];
  /** What could not be done to devices and is no reason to stop, in sentences. */
  readonly problems: readonly string[];
  readonly failures: readonly Failure[];
}

/** A peer and how it is reached. */
export interface Peer {
  readonly lease: Lease;
  readonly path: PeerPath;
}

/** Key of a lease among peers. */
export function peerKey(lease: Pick<Lease, "nodeId" | "family">): string {
  return `${lease.nodeId}/${lease.family}`;
}

/** The family that a key of {@linkcode peerKey} names. */
export function familyOfKey(key: string): Family {
  return key.endsWith("/6") ? 6 : 4;
}

/** How an overlay is made. */
export interface OverlayOptions {
  /** Name of the bridge that containers hang on. */
  readonly bridge: string;
  /** Never use next-hop objects, as on kernels before 5.3. */
  readonly plainRoutes: boolean;
  /** Kinds of entries; absent: all of knet's that the kernel has. */
  readonly kinds?: readonly Kind[];
  /** Which devices are this knet's; absent: none bears a mark, and none that another backend left is removed. */
  readonly known?: Known;
}

/** One family's overlay. */
export class Overlay implements AsyncDisposable {
  /** The peers' entries in the kernel. */
  readonly entries: KernelEntries;
  readonly #rtnl: NetlinkSocket;
  readonly #bridge: string;
  readonly #known: Known | undefined;
  readonly #onBroken: () => void;
  #context: BackendContext | undefined;
  #backend: Backend | undefined;
  #device = 0;
  #bridgeIndex = 0;
  #parameters: readonly Parameter[] = [];
  #peers = new Map<string, Peer>();
  /** What was said of a peer, so that it is said once. */
  readonly #warned = new Map<string, string>();
  #companion: Companion | undefined;

  /** @param onBroken Called when what runs beside the kernel ended: a reconcile mends it. */
  constructor(rtnl: NetlinkSocket, options: OverlayOptions, onBroken: () => void = () => {}) {
    this.#rtnl = rtnl;
    this.#onBroken = onBroken;
    this.#bridge = options.bridge;
    this.#known = options.known;
    const kinds = options.kinds ?? kindsOf(rtnl);
    const without = options.plainRoutes ? [nexthop as Kind] : [];
    this.entries = new KernelEntries(rtnl, { kinds, without });
  }

  /** Index of the backend's device, 0 where it has none or it is not made yet. */
  get device(): number {
    return this.#device;
  }
  /** Index of the bridge, 0 before it is made. */
  get bridge(): number {
    return this.#bridgeIndex;
  }
  /** What this host is told to be; undefined before `configure`. */
  get context(): BackendContext | undefined {
    return this.#context;
  }
  /** The peers' leases. */
  get peers(): Lease[] {
    return [...this.#peers.values()].map((peer) => peer.lease);
  }
  /** The peers with the way that leads to each. */
  get paths(): Peer[] {
    return [...this.#peers.values()];
  }
  /** The way that leads to a peer; undefined: it is not known. */
  pathTo(lease: Lease): PeerPath | undefined {
    return this.#peers.get(peerKey(lease))?.path;
  }
  /** What runs beside the kernel, where the backend has such a thing. */
  get companion(): Pick<Companion, "status"> | undefined {
    return this.#companion;
  }

  /** Says what this host is; takes effect with the next reconcile. */
  configure(context: BackendContext): void {
    this.#context = context;
    this.#backend = backendOf(context.config.backend);
    this.#rebuild();
  }

  /** Replaces all peers; takes effect with the next reconcile. */
  setPeers(leases: readonly Lease[]): void {
    this.#peers = new Map();
    for (const lease of leases) this.#peers.set(peerKey(lease), { lease, path: NO_PATH });
    for (const key of this.#warned.keys()) if (!this.#peers.has(key)) this.#warned.delete(key);
    this.#rebuild();
  }

  /**
   * Applies changes of some peers, in the kernel too, without reading it: one store event costs one
   * small batch.
   *
   * @throws {NetlinkError} if sending fails as a whole.
   */
  changePeers(changed: readonly Lease[], removed: readonly string[]): Reconciled {
    const touched = new Touched();
    for (const key of removed) {
      this.#dropPeer(key, touched);
      this.#warned.delete(key);
    }
    // All that goes, goes first: a subnet may move from one node to another within one event.
    for (const lease of changed) this.#dropPeer(peerKey(lease), touched);
    for (const lease of changed) {
      const path = this.#path(lease);
      this.#peers.set(peerKey(lease), { lease, path });
      this.entries.wishes.add(path.entries, touched);
    }
    this.#companion?.setPeers(this.peers);
    return { ...this.entries.push(touched), changes: [], problems: [] };
  }

  /**
   * Makes the kernel be as it should: devices, addresses, and with one dump of each kind all peers' entries.
   *
   * @throws {NetlinkError} if the kernel refuses a device or a dump.
   * @throws {KnetError} if another device is in the way.
   */
  reconcile(): Reconciled {
    const context = this.#context;
    const backend = this.#backend;
    if (context === undefined || backend === undefined) {
      return { operations: 0, changes: [], problems: [], failures: [] };
    }
    const changes: string[] = [];
    const owner = this.#known?.owner;
    const spec = equip(backend.device(context), context.family, owner);
    changes.push(...this.#accompany(backend, context, spec));
    // Peers that are reached without the device from now on are moved away from it before it sends from another address: others
    // drop what comes from one that they do not know yet.
    const links = listLinks(this.#rtnl);
    const ensured = spec && ensureDevice(this.#rtnl, spec, { keepOuter: true, links });
    changes.push(...ensured?.changes ?? []);
    const device = ensured?.index ?? 0;
    const wantedBridge = bridgeSpec(context, this.#bridge, owner);
    const bridge = ensureDevice(this.#rtnl, wantedBridge, { links });
    changes.push(...bridge.changes);
    this.#bridgeIndex = bridge.index;
    // What enters by the underlay is for containers, too: it comes from peers on the link, or is an answer from outside.
    const { name, ways = [] } = context.underlay;
    const entered = ways.length === 0 ? [name] : ways.map((way) => way.name);
    const underlay = context.family === 4 ? entered.flatMap(forwarding) : [];
    this.#parameters = [
      ...underlay,
      ...[ensured, bridge].flatMap((one) => one?.parameters ?? []),
    ];
    const set = setParameters(underlay);
    changes.push(...set.changes);
    if (device !== this.#device) {
      this.#device = device;
      this.#rebuild();
    }
    this.entries.scope = { family: context.family, device: device || undefined };
    const result = this.entries.converge();
    // And not before they can know it, as long as the one that they know is still there.
    if (spec !== undefined && ensured?.deferred && (context.announced || !this.#owns(ensured))) {
      changes.push(...ensureDevice(this.#rtnl, spec).changes);
    }
    // Last: until here the old device carries what the new entries have taken over in place.
    const keep = [this.#bridge, ...(spec === undefined ? [] : [spec.name])];
    const stale = this.#known ? removeStaleDevices(this.#rtnl, keep, this.#known, links) : [];
    for (const name of stale) changes.push(`removed ${name}, which is not wanted any more`);
    return {
      ...result,
      changes,
      problems: [...set.problems, ...bridge.problems, ...ensured?.problems ?? []],
    };
  }

  /** Sets kernel parameters of the devices again that somebody changed: no notification tells of most. */
  keepParameters(): ParametersSet {
    return setParameters(this.#parameters);
  }

  /** Whether an outer address that a device still has is one of this host's. */
  #owns({ outer }: EnsuredDevice): boolean {
    return listAddresses(this.#rtnl).some(({ address }) => address === outer);
  }

  /** Makes run what the backend has run beside the kernel, and end what another one had. */
  #accompany(backend: Backend, context: BackendContext, spec: DeviceSpec | undefined): string[] {
    if (this.#companion !== undefined && this.#companion.backend !== backend.type) {
      void this.#companion[Symbol.asyncDispose]();
      this.#companion = undefined;
    }
    if (backend.companion === undefined) return [];
    this.#companion ??= backend.companion(this.#rtnl, this.#onBroken);
    const changes = this.#companion.ensure(context, spec);
    this.#companion.setPeers(this.peers);
    return changes;
  }

  /** Stops what runs beside the kernel. Devices and entries stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#companion?.[Symbol.asyncDispose]();
    this.#companion = undefined;
    this.entries[Symbol.dispose]();
  }

  #dropPeer(key: string, touched: Touched): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    this.#peers.delete(key);
    this.entries.wishes.remove(peer.path.entries, touched);
  }

  #path(lease: Lease): PeerPath {
    const context = this.#context;
    if (context === undefined || this.#backend === undefined) return NO_PATH;
    const path = this.#backend.peer(context, this.#device, lease);
    this.#say(lease, path.warning);
    return path;
  }

  #say(lease: Lease, warning: string | undefined): void {
    const key = peerKey(lease);
    if (this.#warned.get(key) === warning) return;
    const { nodeName: name, subnet } = lease;
    if (warning === undefined) {
      this.#warned.delete(key);
      log.info("Host {name} ({subnet}) can be reached again", { name, subnet });
    } else {
      this.#warned.set(key, warning);
      log.warn("Cannot reach host {name} ({subnet}): {warning}", { name, subnet, warning });
    }
  }

  #rebuild(): void {
    this.entries.clear();
    const { wishes } = this.entries;
    // Without its device the entries would lead nowhere: reconcile() makes it, and comes here again.
    const context = this.#context;
    if (context === undefined) return;
    if (this.#device === 0 && this.#backend?.device(context) !== undefined) return;
    const shared = this.#backend?.shared?.(context, this.#device);
    if (shared !== undefined) wishes.add([shared]);
    for (const [key, { lease }] of this.#peers) {
      const path = this.#path(lease);
      this.#peers.set(key, { lease, path });
      wishes.add(path.entries);
    }
  }
}
