/**
 * A lease: a host's subnet of the cluster network, and how to reach that host.
 *
 * @module
 */
import type { BackendType } from "./config.ts";

/** 4 for IPv4, 6 for IPv6. */
export type Family = 4 | 6;

/** What a backend needs to know of a peer beside its public address. */
export interface BackendData {
  /** VTEP MAC address, `92:8d:c4:85:16:ad` (vxlan). */
  readonly mac?: string;
  /** VXLAN network identifier that the MAC was derived for (vxlan). */
  readonly vni?: number;
  /** Version of the questions about the path that the host's agent answers; absent: an older knet's, or no agent stays there. */
  readonly probe?: number;
  /**
   * Public address that the host goes by, and could not be given when it came to it. Another one than its lease has: it has left that to
   * whoever has it now.
   */
  readonly wants?: string;
}

/** One row of `knet_leases`. All times are milliseconds since the epoch on the store's clock. */
export interface Lease {
  readonly nodeId: string;
  readonly family: Family;
  readonly nodeName: string;
  /** Canonical prefix, `10.244.3.0/24`. */
  readonly subnet: string;
  /** Underlay address of the host. */
  readonly publicIp: string;
  readonly backend: BackendType;
  readonly backendData: BackendData;
  /** /proc/sys/kernel/random/boot_id of the host; empty for a reservation nobody took yet. */
  readonly bootId: string;
  /** Random id of the agent process that holds the lease; empty for a reservation nobody took yet. */
  readonly agentId: string;
  readonly acquired: number;
  readonly renewed: number;
  /** `Infinity` is never stored: a reservation carries `reserved` and its `expires` means nothing. */
  readonly expires: number;
  /** Never expires and is never given to another node. */
  readonly reserved: boolean;
  /** The store's revision at which this row changed last (renewals do not count). */
  readonly revision: number;
}
