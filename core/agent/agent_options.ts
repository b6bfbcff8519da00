/**
 * What the agent is asked to do.
 *
 * @module
 */
import type { Snapshot } from "../store/snapshot.ts";
import type { HeldStore } from "./held_store.ts";
import type { HostBook } from "./host_book.ts";
import type { CarrierMaker } from "./store_carrier.ts";
import type { ClusterRequest } from "../cluster/config.ts";

/** What the agent is asked to do. */
export interface AgentOptions {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly iface?: string;
  readonly publicIp?: string;
  readonly nodeName?: string;
  readonly nodeId?: string;
  readonly bridge: string;
  readonly ipMasq: boolean;
  readonly peersOnly: boolean;
  /** Virtual IPs stay unknown on the underlay. */
  readonly strictArp: boolean;
  /** Take over virtual servers of others where a service has the same address. */
  readonly adopt: boolean;
  /** Program the kernel and return. */
  readonly once: boolean;
  /** Never use next-hop objects. */
  readonly plainRoutes: boolean;
  /** `ADDRESS:PORT` to serve status on as well. */
  readonly listen?: string;
  /** What the command line says of the cluster. */
  readonly config: ClusterRequest;
  readonly signal: AbortSignal;
  /** How the cluster's own store gets to other hosts; absent: it does not. */
  readonly carrier?: CarrierMaker;
}

/** What an agent knows before the store answers. */
export interface KnownAtStart {
  readonly snapshot: Snapshot | undefined;
  /** Whether the store is another one than the one that the snapshot is of. */
  readonly elsewhere: boolean;
  /** This host's part in the cluster's own store. */
  readonly held?: HeldStore | undefined;
  readonly hosts: HostBook;
}
