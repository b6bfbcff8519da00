/**
 * The cluster's configuration: one row in the store, shared by all hosts.
 *
 * @module
 */

/** The way packets travel between hosts. */
export type BackendType = "vxlan" | "host-gw" | "udp";

/** VXLAN between hosts (RFC 7348). */
export interface VxlanConfig {
  readonly type: "vxlan";
  /** VXLAN network identifier, 1 to 2^24 - 1. */
  readonly vni: number;
  /** UDP destination port, 1 to 65535. */
  readonly port: number;
  /** Plain routes to peers on the same link, VXLAN to the rest. */
  readonly directRouting: boolean;
  /** Bytes; absent: the underlay's MTU less the encapsulation. */
  readonly mtu?: number;
}

/** Plain routes through the underlay. */
export interface HostGwConfig {
  readonly type: "host-gw";
  readonly mtu?: number;
}

/** Encapsulation in user space. */
export interface UdpConfig {
  readonly type: "udp";
  readonly port: number;
  readonly mtu?: number;
}

/** A backend with its options. */
export type BackendConfig = VxlanConfig | HostGwConfig | UdpConfig;

/** What all hosts of a cluster agree on. Prefixes and addresses are canonical text. */
export interface ClusterConfig {
  /** The cluster network, `10.244.0.0/16`. */
  readonly network: string;
  /** Prefix length of each host's subnet. */
  readonly subnetLen: number;
  /** Network address of the first subnet that may be leased. */
  readonly subnetMin: string;
  /** Network address of the last subnet that may be leased. */
  readonly subnetMax: string;
  readonly backend: BackendConfig;
  /** Where virtual IPs of services come from. */
  readonly serviceNetwork: string;
  /** Life of a lease that is not renewed, in seconds. */
  readonly leaseTtl: number;
}
