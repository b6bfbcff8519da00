/**
 * What membership is made of, and what it hands over.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster/config.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import type { NodeIdentity } from "../cluster/node_identity.ts";
import type { Backend } from "../overlay/backend/backend.ts";
import type { Changes, Store } from "../store/store.ts";
import type { RememberedStore } from "../store/store_memory.ts";

/** How the store is doing, for status. */
export interface StoreHealth {
  readonly state: "ok" | "away" | "different" | "unknown";
  readonly detail: string;
  /** Since when it has been away or different, milliseconds since the epoch. */
  readonly since?: number;
  /** What the administrator can do about it. */
  readonly remedy?: string;
}

/** What of the services has changed. */
export type ServiceChanges = Pick<
  Changes,
  "full" | "services" | "removedServices" | "timeouts" | "now"
>;

/** What membership hands over. */
export interface MembershipEvents {
  /** This host's lease was granted, renewed with changes, or replaced by another one (`before`). */
  onLease(lease: Lease, config: ClusterConfig, before: Lease | undefined): void;
  /** Everything there is, this host's own lease left out. */
  onAllPeers(peers: readonly Lease[]): void;
  /** Only what changed; `removed` are keys of `peerKey`. */
  onSomePeers(changed: readonly Lease[], removed: readonly string[]): void;
  /** Services or timeouts have changed; with `full`, these are all that there are. */
  onServices?(changes: ServiceChanges): void;
  /** The store is back or away, or something needs the administrator's eye. */
  onHealth(): void;
}

/** What membership is made of. */
export interface MembershipOptions {
  readonly store: Store;
  readonly identity: NodeIdentity;
  readonly family: Family;
  /** Finds the configuration, writing it if this is the first host; called until it succeeds once. */
  readonly loadConfig: (store: Store) => Promise<ClusterConfig>;
  readonly backendOf: (config: ClusterConfig) => Backend;
  /** This host's public address now; undefined while the underlay has none. */
  readonly publicIp: () => string | undefined;
  /** Lease that the snapshot remembers. */
  readonly remembered: Lease | undefined;
  /** Configuration that the snapshot remembers: what this host goes on with if that of the store makes no sense. */
  readonly rememberedConfig?: ClusterConfig;
  /** What it remembers of the store itself. */
  readonly rememberedStore?: RememberedStore;
  /** Whether the administrator has named another store than the one that is remembered. */
  readonly elsewhere?: boolean;
  /** Milliseconds after which a first join that finds the store away fails; absent: it waits for ever. */
  readonly patience?: number;
  /** Whether an agent stays that answers questions about the path to this host. */
  readonly answersProbes?: boolean;
  readonly events: MembershipEvents;
}
