/**
 * A backend: how packets travel between hosts. It turns leases into desired kernel objects and says
 * nothing of how they get there. All its functions are pure, but for the one that makes what has to run beside the kernel.
 *
 * @module
 */
import type { BackendConfig, BackendType, ClusterConfig } from "../../cluster/config.ts";
import type { DeviceSpec } from "../../kernel/devices.ts";
import type { BackendData, Family, Lease } from "../../cluster/lease.ts";
import type { Claim, Wish } from "../../kernel/kind.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import type { TunnelStatus } from "../udp/data_plane.ts";
import type { Underlay } from "../underlay.ts";

/** What a backend is told of this host. */
export interface BackendContext {
  readonly config: ClusterConfig;
  readonly family: Family;
  readonly nodeId: string;
  /** This host's subnet. */
  readonly subnet: string;
  /** This host's backend data as the lease has it. */
  readonly backendData: BackendData;
  readonly underlay: Underlay;
  /** The store, and so the peers, know this host by the underlay's public address. */
  readonly announced: boolean;
  /** Of device, bridge and containers, bytes. */
  readonly mtu: number;
}

/** By what packets to a peer travel; "none": not at all. */
export type Via = "vxlan" | "direct" | "udp" | "none";

/** How one peer is reached. */
export interface PeerPath {
  readonly via: Via;
  /** The peer's own entries in the kernel. */
  readonly entries: readonly Wish[];
  /** What leads to it and to others, where it has no way of its own. */
  readonly shared?: Wish;
  /** Why the peer cannot be reached and what would help, a sentence for status and log. */
  readonly warning?: string;
}

/** No way to a peer, and nothing wrong with that: a reservation that nobody has taken yet. */
export const NO_PATH: PeerPath = { via: "none", entries: [] };

/** On whose behalf a peer's entries are wanted. */
export function claimOf({ acquired, nodeId }: Pick<Lease, "acquired" | "nodeId">): Claim {
  return { since: acquired, owner: nodeId };
}

/**
 * What runs or is kept beside the kernel's tables for a backend, such as a packet loop, as long as the agent runs. Devices and entries
 * stay when it is disposed.
 */
export interface Companion extends AsyncDisposable {
  /** The backend that it belongs to. */
  readonly backend: BackendType;
  /** For `knet status`; undefined while it does not run. */
  readonly status: TunnelStatus | undefined;
  /**
   * Makes it be as it should, and the device with it if it is what makes that.
   *
   * @returns what was done, in words.
   * @throws {KnetError} if this host lacks something, or another program has it.
   */
  ensure(context: BackendContext, device: DeviceSpec | undefined): string[];
  /** Tells it all peers. */
  setPeers(peers: readonly Lease[]): void;
}

/**
 * Makes a backend's companion.
 *
 * @param onBroken Called when it ended or what it serves is gone: `ensure` mends it.
 */
export type MakeCompanion = (rtnl: NetlinkSocket, onBroken: (why: string) => void) => Companion;

/** One backend. */
export interface Backend {
  readonly type: BackendType;
  /** Bytes that it puts around each packet. */
  overhead(family: Family): number;
  /** What the lease tells the peers; `attempt` counts up until no peer has the same. */
  backendData(config: BackendConfig, nodeId: string, attempt: number): BackendData;
  /**
   * The device that packets to peers leave by, undefined where that is the underlay itself. One of kind "tun" cannot be asked of
   * rtnetlink: whoever opens /dev/net/tun makes it, and it is there as long as the file is open.
   */
  device(context: BackendContext): DeviceSpec | undefined;
  /**
   * The way to one peer: by entries on the backend's device, by a plain route through the underlay, or none.
   *
   * @param device Index of the backend's device, 0 where it has none.
   */
  peer(context: BackendContext, device: number, peer: Lease): PeerPath;
  /** What leads to all peers, where there is such a thing; it is there without peers, too. */
  shared?(context: BackendContext, device: number): Wish;
  /** Where something has to run beside the kernel's tables. */
  readonly companion?: MakeCompanion;
}
