/**
 * All backends, by the name in the configuration.
 *
 * @module
 */
import type { BackendConfig, ClusterConfig } from "../../cluster/config.ts";
import type { Family } from "../../cluster/lease.ts";
import type { Underlay } from "../underlay.ts";
import type { Backend } from "./backend.ts";
import { hostGw } from "./host_gw.ts";
import { udp } from "./udp.ts";
import { vxlan } from "./vxlan.ts";

/** The backend that a cluster is configured with. */
export function backendOf(config: BackendConfig): Backend {
  switch (config.type) {
    case "vxlan":
      return vxlan;
    case "host-gw":
      return hostGw;
    case "udp":
      return udp;
  }
}

/** MTU of device, bridge and containers: what is configured, else the underlay's less the encapsulation. */
export function overlayMtu(config: ClusterConfig, underlay: Underlay, family: Family): number {
  return config.backend.mtu ?? underlay.mtu - backendOf(config.backend).overhead(family);
}
