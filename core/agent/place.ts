/**
 * This host's place in the cluster, put together from what the store, the underlay and the administrator say. Pure.
 *
 * @module
 */
import { type BackendContext, backendOf, overlayMtu } from "../backend/backend.ts";
import type { ClusterConfig } from "../cluster.ts";
import type { Lease } from "../lease.ts";
import type { NodeIdentity } from "../node.ts";
import type { NodeState } from "../node_state.ts";
import type { Underlay } from "../underlay.ts";
import type { AgentOptions } from "./options.ts";
import { gatewayOf } from "./overlay.ts";

/** What backends are told of a host with this lease on this underlay. */
export function contextOf(
  config: ClusterConfig,
  lease: Lease,
  underlay: Underlay,
): BackendContext {
  return {
    config,
    family: lease.family,
    nodeId: lease.nodeId,
    subnet: lease.subnet,
    backendData: lease.backendData,
    underlay,
    announced: lease.publicIp === underlay.publicIp,
    mtu: overlayMtu(config, underlay, lease.family),
  };
}

/** What the commands of the same host are told. */
export function stateOf(
  context: BackendContext,
  { nodeName }: Pick<NodeIdentity, "nodeName">,
  { bridge, ipMasq }: Pick<AgentOptions, "bridge" | "ipMasq">,
): NodeState {
  const { config, nodeId, subnet, mtu, underlay } = context;
  const device = backendOf(config.backend).device(context)?.name;
  return {
    nodeId,
    nodeName,
    network: config.network,
    serviceNetwork: config.serviceNetwork,
    subnet,
    gateway: gatewayOf(subnet),
    mtu,
    bridge,
    ipMasq,
    backend: config.backend.type,
    ...(device !== undefined && { device }),
    publicIp: underlay.publicIp,
    iface: underlay.name,
  };
}
