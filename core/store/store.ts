/**
 * The interface of the shared store. Three engines implement it, SQLite, Postgres and dqlite; one contract test
 * runs against both.
 *
 * Every call rejects with {@linkcode StoreAwayError} when the store cannot be reached within its
 * deadline and with {@linkcode KnetError} (exit code 4) when the store holds something that
 * contradicts the request.
 *
 * Rows that make no sense, edited by hand or written by a newer knet, are left out of what is read; each is named in the log once.
 *
 * @module
 */
import type { BackendType, ClusterConfig } from "../cluster/config.ts";
import type { BackendData, Family, Lease } from "../cluster/lease.ts";
import type { Service, ServiceTimeouts } from "../services/service.ts";
import type { RowProblem, ServiceStore } from "../services/service_store.ts";
import type { ContainerChange, ContainerList, ContainerSelector } from "./container_rows.ts";
import type { StoreMark } from "./identity.ts";
import type { RowMark } from "./row_marks.ts";

/** What a joining node asks for. */
export interface LeaseRequest {
  readonly nodeId: string;
  readonly family: Family;
  readonly nodeName: string;
  readonly publicIp: string;
  readonly backend: BackendType;
  readonly bootId: string;
  readonly agentId: string;
  /**
   * Whether a holder of this node id that is on another boot or at another address was asked if it lives, and had its time to answer;
   * false: it is to be asked. Absent: its lease is taken at once.
   */
  readonly asked?: boolean;
  /** Subnet the node had before by its own memory; taken if it is free. */
  readonly previousSubnet?: string;
  /**
   * Backend data for the lease. `attempt` counts up when the store already has a peer with the same
   * VTEP MAC, so that another one is derived. Called inside the transaction: pure and quick.
   */
  readonly backendData: (attempt: number) => BackendData;
  /** The configuration that the node goes on with if that of the store makes no sense. */
  readonly lastGood?: ClusterConfig;
}

/** What `acquireLease` did. */
export interface LeaseGrant {
  readonly lease: Lease;
  /** "new": a free subnet; "kept": the node's old one; "reserved": by reservation; "reassigned": an expired lease's subnet, all else being taken; "asked": nothing is granted yet, another boot or address holds it and has to answer first. */
  readonly how: "new" | "kept" | "reserved" | "reassigned" | "asked";
  /** The store's revision after the change. */
  readonly revision: number;
  /** Who has the public address that was asked for: a host that held its lease before keeps it with the address that it had. */
  readonly rival?: Lease;
  /** Which store gave it; absent if an older knet answers for it. */
  readonly store?: Pick<StoreMark, "identity" | "epoch">;
}

/** What came of a host's saying that it holds a subnet. */
export type Announcement =
  | { readonly state: "held"; readonly lease: Lease }
  /** Another host, which lives, has had it for longer; or the cluster has no such subnet any more. */
  | { readonly state: "lost"; readonly to?: Lease };

/** Who holds a lease, by its own account. */
export type LeaseHolder =
  & Pick<
    Lease,
    "nodeId" | "family" | "agentId" | "nodeName" | "publicIp" | "subnet" | "backendData"
  >
  & {
    /** Of the running kernel: another one in the row is a clone's. */
    readonly bootId?: string;
    /** Public addresses that the row may have by what the holder wrote: another one in the row is a clone's. */
    readonly heldIps?: readonly string[];
    /** The configuration that the holder goes on with if that of the store makes no sense. */
    readonly lastGood?: ClusterConfig;
  };

/** What `renewLease` found. */
export type Renewal =
  | {
    readonly state: "renewed";
    readonly lease: Lease;
    /** The living host that has the holder's new public address already: the row keeps the old one. */
    readonly rival?: Lease;
    /** Why no host of the cluster can have the holder's new public address: the row keeps the old one. */
    readonly unfit?: string;
  }
  /** The row is gone, or the subnet belongs to another node now. */
  | { readonly state: "lost" }
  /** Another living agent holds the row of this node id. */
  | { readonly state: "taken-over"; readonly by: Lease };

/**
 * How closely a reader's copy is held against the store: by the revision alone; by the number of rows and the sum of their revisions as
 * well; or by all rows, which are read then.
 */
export type Comparison = "revision" | "tally" | "rows";

/** Rows above a revision. */
export interface Changes {
  /** Which store it is. */
  readonly mark: StoreMark;
  /** Marks of the rows that changed above the revision, of rows that could not be read and of deleted ones, too; all that are there in a full read. */
  readonly marks: readonly RowMark[];
  /** Whether all rows were asked for. */
  readonly whole: boolean;
  /** Up to which revision tombstones were purged. */
  readonly purged: number;
  /** How many rows there are and the sum of their revisions, if that was asked for. */
  readonly tally?: string;
  /** For how long nobody gets a new subnet, because the store was adopted just now; milliseconds. */
  readonly settling: number;
  /** Revision that the reader has seen after applying these. */
  readonly revision: number;
  /** True when `leases` is everything there is (first read, or older than the oldest tombstone): what is not in it is gone. */
  readonly full: boolean;
  /** The configuration, if it changed (always in a full read); null if there is none. */
  readonly config?: ClusterConfig | null;
  /** What is wrong with the configuration that the store holds: the reader's last good one was gone on with. */
  readonly configProblem?: string;
  readonly leases: readonly Lease[];
  /** Leases that were deleted (empty in a full read). */
  readonly removed: readonly { readonly nodeId: string; readonly family: Family }[];
  /** Services that were changed, each whole with its destinations. */
  readonly services: readonly Service[];
  /** Names of services that were deleted (empty in a full read). */
  readonly removedServices: readonly string[];
  /** Timeouts of connections, if they changed (always in a full read). */
  readonly timeouts?: ServiceTimeouts;
  /** Store's clock at the read, milliseconds since the epoch. */
  readonly now: number;
  /** Rows that were left out because they make no sense. */
  readonly problems: readonly RowProblem[];
}

/** How one lease is named on the command line: by node id, node name or subnet. */
export type LeaseSelector = string;

/** The shared state of a cluster. */
export interface Store extends ServiceStore, AsyncDisposable {
  readonly engine: "sqlite" | "postgres" | "dqlite";
  /** URL without its password, for messages. */
  readonly location: string;

  /** The cluster's configuration, undefined before `initConfig`. */
  getConfig(): Promise<ClusterConfig | undefined>;

  /**
   * Writes the configuration if there is none; returns what the store holds afterwards. With
   * `replace`, a differing configuration is replaced as long as no lease exists.
   *
   * @throws {KnetError} exit code 4, both values shown, if the store holds another configuration.
   */
  initConfig(config: ClusterConfig, options?: { replace?: boolean }): Promise<ClusterConfig>;

  /** All leases, expired and reserved ones too. */
  listLeases(): Promise<
    { leases: Lease[]; revision: number; now: number; problems: readonly RowProblem[] }
  >;

  /**
   * Leases a subnet in one transaction: the node's old one, else its reservation, else `previousSubnet`,
   * else the first free one, else the longest expired one.
   *
   * @throws {KnetError} exit code 4: no configuration, all subnets taken, another living agent has this node id, or a node that
   * is new or moves asks for a service's virtual IP. SettlingStoreError while hosts announce what they hold.
   */
  acquireLease(request: LeaseRequest): Promise<LeaseGrant>;

  /**
   * Extends the lease by the cluster's TTL. Raises the revision only if the node's name, public address or
   * backend data changed.
   */
  renewLease(holder: LeaseHolder): Promise<Renewal>;

  /**
   * Deletes a lease (leaves a tombstone).
   *
   * @throws {KnetError} exit code 4 if the node lives (renewed within its TTL) and `force` is not set and `agentId` is not its own.
   */
  releaseLease(
    selector: LeaseSelector,
    options?: { force?: boolean; agentId?: string },
  ): Promise<Lease>;

  /**
   * Keeps a subnet for the node with that public address, for ever.
   *
   * @throws {KnetError} exit code 4: the subnet is none of the cluster's, another node's, or reserved for another one (but for
   * `force`); a service or a living host with another subnet has the address, or no host can have it.
   */
  reserveLease(subnet: string, publicIp: string, options?: { force?: boolean }): Promise<Lease>;

  /** Deletes expired, unreserved leases (`nodeIds`: only these) and returns them. */
  pruneLeases(nodeIds?: readonly string[]): Promise<Lease[]>;

  /** Containers of all hosts that have a lease, or those of a selector, in the order of hosts. */
  listContainers(selector?: ContainerSelector): Promise<ContainerList>;

  /**
   * Writes what a host says of its containers, in one transaction. No revision counts it: `subscribe` tells nobody, or of nothing.
   *
   * @throws {KnetError} exit code 4 if that agent does not hold the host's lease, if a container is none of its subnet, or if there are
   * too many.
   */
  putContainers(change: ContainerChange): Promise<void>;

  /**
   * What changed above a revision; 0 reads everything.
   *
   * @param lastGood The configuration that the reader goes on with if that of the store makes no sense.
   * @throws {KnetError} exit code 4 if it makes no sense and there is no such one.
   */
  changesSince(
    revision: number,
    compare?: Comparison,
    lastGood?: ClusterConfig,
  ): Promise<Changes>;

  /**
   * Says, after an adoption, that this host holds a subnet. Of two hosts that do, the older acquisition stays.
   *
   * @param own The lease as the host has it in its kernel.
   * @param lastGood The configuration that the host goes on with if that of the store makes no sense.
   */
  announceLease(own: Lease, lastGood?: ClusterConfig): Promise<Announcement>;

  /**
   * From now on nothing is written unless the store is this one, at this revision or above.
   *
   * @param mark Undefined: whatever it is.
   */
  expect(mark: StoreMark | undefined): void;

  /**
   * Deletes destinations whose drain is over.
   *
   * @returns Names of the services that had one.
   */
  sweepDrained(): Promise<string[]>;

  /**
   * Calls `onChange` soon after anything above the last revision was committed by anybody (and at times without
   * reason: it is a hint, not a message). Never rejects because the store is away: it reconnects by itself with
   * backoff and jitter and calls `onChange` after it did. `onState` tells how notifications arrive, for status
   * and doctor: "notify" | "poll" | "away", with a sentence.
   */
  subscribe(
    onChange: () => void,
    onState?: (state: "notify" | "poll" | "away", detail: string) => void,
  ): Disposable;

  /** Drops all connections; the next call makes new ones. Called when the underlay's address changes. */
  reset(): void;
}
