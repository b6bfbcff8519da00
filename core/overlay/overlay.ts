/**
 * The kernel side of the agent: devices and peers' entries, as they should be and as knet believes they
 * are. Everything here is synchronous: between two awaits of the agent the kernel is in one piece.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { listAddresses } from "../../ffi/rtnl/address.ts";
import { nexthopsSupported } from "../../ffi/rtnl/nexthop.ts";
import { formatPrefix, nthAddress, parsePrefix } from "../base/address.ts";
import { apply, type Failure } from "../kernel/apply.ts";
import { type Backend, type BackendContext, NO_PATH, type PeerPath } from "./backend/backend.ts";
import { backendOf } from "./backend/backends.ts";
import { type DeviceSpec, type EnsuredDevice, ensureDevice } from "../kernel/devices.ts";
import type { Lease } from "../cluster/lease.ts";
import { deriveMac } from "../base/mac.ts";
import { plan } from "../kernel/plan.ts";
import { removeStaleDevices } from "../kernel/stale_devices.ts";
import { DataPlane, type TunnelStatus } from "./udp/data_plane.ts";
import { ensureTunnel, tunnelPeers } from "./udp/tunnel.ts";
import {
  type Desired,
  emptyDesired,
  emptyTables,
  nothingTouched,
  readTables,
  type Tables,
  type Touched,
  unwant,
  want,
} from "../kernel/tables.ts";

const log = getLogger(["knet", "overlay"]);

/** What a reconcile did. */
export interface Reconciled {
  /** Messages sent for peers' entries. */
  readonly operations: number;
  /** What was done to devices, in words. */
  readonly changes: readonly string[];
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

/** The bridge's address: the first host address of the subnet. */
export function gatewayOf(subnet: string): string {
  return nthAddress(subnet, 1);
}

/** The bridge that this host's containers hang on. */
export function bridgeSpec(context: BackendContext, bridge: string): DeviceSpec {
  const { family, length } = parsePrefix(context.subnet);
  return {
    name: bridge,
    kind: "bridge",
    // Given at creation: a bridge without one takes the lowest of its ports', and changes with the first container.
    mac: deriveMac("bridge", context.nodeId, bridge),
    mtu: context.mtu,
    addresses: [formatPrefix({ family, address: gatewayOf(context.subnet), length })],
    ownNetwork: context.config.network,
  };
}

/** This host's part of the overlay. */
export class Overlay {
  readonly #rtnl: NetlinkSocket;
  readonly #bridge: string;
  readonly #nexthopObjects: boolean;
  #context: BackendContext | undefined;
  #backend: Backend | undefined;
  #device = 0;
  #bridgeIndex = 0;
  #peers = new Map<string, Peer>();
  /** What was said of a peer, so that it is said once. */
  readonly #warned = new Map<string, string>();
  /** The packet loop, for the backend that has one. */
  #plane: DataPlane | undefined;
  readonly #onTunnelBroken: () => void;
  #desired: Desired = emptyDesired();
  #tables: Tables = emptyTables();

  /**
   * @param options.plainRoutes Never use next-hop objects, as on kernels before 5.3.
   * @param onTunnelBroken Called when the packet loop ended or its device is gone: a reconcile mends it.
   */
  constructor(
    rtnl: NetlinkSocket,
    options: { bridge: string; plainRoutes: boolean },
    onTunnelBroken: () => void = () => {},
  ) {
    this.#rtnl = rtnl;
    this.#onTunnelBroken = onTunnelBroken;
    this.#bridge = options.bridge;
    this.#nexthopObjects = !options.plainRoutes && nexthopsSupported(rtnl);
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
  /** What knet believes is in the kernel. */
  get tables(): Tables {
    return this.#tables;
  }
  /** What should be in the kernel. */
  get desired(): Desired {
    return this.#desired;
  }

  /** What the packet loop has counted, where there is one. */
  get tunnel(): TunnelStatus | undefined {
    return this.#plane?.status;
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
    const touched = nothingTouched();
    for (const key of removed) {
      this.#dropPeer(key, touched);
      this.#warned.delete(key);
    }
    // All that goes, goes first: a subnet may move from one node to another within one event.
    for (const lease of changed) this.#dropPeer(peerKey(lease), touched);
    for (const lease of changed) {
      const path = this.#path(lease);
      this.#peers.set(peerKey(lease), { lease, path });
      want(this.#desired, path.entries, touched);
    }
    this.#plane?.setPeers(tunnelPeers(this.peers));
    return this.#push(touched);
  }

  /**
   * Makes the kernel be as it should: devices, addresses, and with one dump all peers' entries.
   *
   * @throws {NetlinkError} if the kernel refuses a device or a dump.
   * @throws {KnetError} if another device is in the way.
   */
  reconcile(): Reconciled {
    const context = this.#context;
    const backend = this.#backend;
    if (context === undefined || backend === undefined) {
      return { operations: 0, changes: [], failures: [] };
    }
    const changes: string[] = [];
    const spec = backend.device(context);
    if (spec?.kind === "tun") {
      this.#plane ??= new DataPlane((why) => {
        log.warn("The packet loop has to be mended: {why}", { why });
        this.#onTunnelBroken();
      });
      changes.push(...ensureTunnel(this.#rtnl, this.#plane, context, spec));
      this.#plane.setPeers(tunnelPeers(this.peers));
    }
    // Peers that are reached without the device from now on are moved away from it before it sends from another address: others
    // drop what comes from one that they do not know yet.
    const ensured = spec && ensureDevice(this.#rtnl, spec, { keepOuter: true });
    changes.push(...ensured?.changes ?? []);
    const device = ensured?.index ?? 0;
    const bridge = ensureDevice(this.#rtnl, bridgeSpec(context, this.#bridge));
    changes.push(...bridge.changes);
    this.#bridgeIndex = bridge.index;
    if (device !== this.#device) {
      this.#device = device;
      this.#rebuild();
    }
    let result = this.#converge(false);
    if (result.failures.length > 0) {
      // An id of ours that somebody else took, or a device that changed under our hands: look again, wider.
      result = this.#converge(true);
    }
    // And not before they can know it, as long as the one that they know is still there.
    if (spec !== undefined && ensured?.deferred && (context.announced || !this.#owns(ensured))) {
      changes.push(...ensureDevice(this.#rtnl, spec).changes);
    }
    // Last: until here the old device carries what the new entries have taken over in place.
    for (const name of removeStaleDevices(this.#rtnl, spec?.name)) {
      changes.push(`removed ${name}, which another backend left`);
    }
    return { ...result, changes };
  }

  /** Whether the outer address that a device still has is one of this host's. */
  #owns({ outer }: EnsuredDevice): boolean {
    return listAddresses(this.#rtnl).some(({ address }) => address === outer);
  }

  /** Stops the packet loop, if there is one. Devices and entries stay. */
  async close(): Promise<void> {
    await this.#plane?.[Symbol.asyncDispose]();
    this.#plane = undefined;
  }

  #converge(allNexthops: boolean): Reconciled {
    const family = this.#context!.family;
    this.#tables = readTables(this.#rtnl, family, this.#device || undefined, {
      nexthopObjects: this.#nexthopObjects,
      allNexthops,
    });
    return this.#push();
  }

  #push(touched?: Touched): Reconciled {
    const operations = plan(this.#desired, this.#tables, {
      nexthopObjects: this.#nexthopObjects,
    }, touched);
    const failures = apply(this.#rtnl, operations, this.#tables);
    return { operations: operations.length, changes: [], failures };
  }

  #dropPeer(key: string, touched: Touched): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    this.#peers.delete(key);
    unwant(this.#desired, peer.path.entries, touched);
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
    this.#desired = emptyDesired();
    // Without its device the entries would lead nowhere: reconcile() makes it, and comes here again.
    const context = this.#context;
    if (context === undefined) return;
    if (this.#device === 0 && this.#backend?.device(context) !== undefined) return;
    const shared = this.#backend?.shared?.(context, this.#device);
    if (shared !== undefined) want(this.#desired, { route: shared });
    for (const [key, { lease }] of this.#peers) {
      const path = this.#path(lease);
      this.#peers.set(key, { lease, path });
      want(this.#desired, path.entries);
    }
  }
}
