/**
 * This host's place in the cluster, put together from what the store, the underlay and the administrator say. Pure.
 *
 * @module
 */
import { type BackendContext } from "../overlay/backend/backend.ts";
import { backendOf, overlayMtu } from "../overlay/backend/backends.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import type { NodeIdentity } from "../cluster/node_identity.ts";
import type { NodeState } from "../cluster/node_state.ts";
import type { Owner } from "../kernel/owner.ts";
import { type Underlay, waysOf } from "../overlay/underlay.ts";
import type { AgentOptions } from "./agent_options.ts";
import { gatewayOf } from "../overlay/own_devices.ts";

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

/** Whose mark this host's devices bear. */
export function ownerOf(
  { agentId }: Pick<NodeIdentity, "agentId">,
  { dataDir }: Pick<AgentOptions, "dataDir">,
): Owner {
  return { id: agentId, dataDir };
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
    ...(config.backend.type !== "host-gw" && { port: config.backend.port }),
    publicIp: underlay.publicIp,
    iface: underlay.name,
    ...(underlay.ways !== undefined && { ways: waysOf(underlay) }),
  };
}
