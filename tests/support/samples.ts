/**
 * Values of the domain as unit tests need them, each with what matters to the test put in.
 *
 * @module
 */
import {
  type ClusterConfig,
  type ClusterRequest,
  makeClusterConfig,
} from "../../core/cluster/config.ts";
import type { Lease } from "../../core/cluster/lease.ts";
import type { NodeState } from "../../core/cluster/node_state.ts";
import type { Underlay } from "../../core/overlay/underlay.ts";
import type { InterfaceAddress } from "../../ffi/rtnl/address.ts";
import type { Link } from "../../ffi/rtnl/link.ts";

/** A configuration. */
export function sampleConfig(request: ClusterRequest = {}): ClusterConfig {
  return makeClusterConfig({ serviceNetwork: "172.31.0.0/16", ...request });
}

/** A living node's lease. */
export function sampleLease(lease: Partial<Lease> = {}): Lease {
  const nodeId = lease.nodeId ?? "n1";
  return {
    nodeId,
    family: 4,
    nodeName: nodeId,
    subnet: "10.244.1.0/24",
    publicIp: "192.168.2.1",
    backend: "vxlan",
    backendData: { vni: 1, mac: "02:00:00:00:00:01" },
    bootId: "boot",
    agentId: `agent-${nodeId}`,
    acquired: 0,
    renewed: 0,
    expires: 1000,
    reserved: false,
    revision: 1,
    ...lease,
  };
}

/** A link that is up. */
export function sampleLink(link: Partial<Link> & Pick<Link, "index" | "name">): Link {
  return { mac: "02:00:00:00:00:aa", mtu: 1500, flags: 1, up: true, carrier: true, ...link };
}

/** A global address of an interface. */
export function sampleAddress(
  address: Partial<InterfaceAddress> & Pick<InterfaceAddress, "ifindex" | "address">,
): InterfaceAddress {
  return {
    family: address.address.includes(":") ? 6 : 4,
    prefixLength: 24,
    scope: 0,
    flags: 0x80,
    permanent: true,
    ...address,
  };
}

/** An underlay whose address is that of {@linkcode sampleLease}. */
export function sampleUnderlay(underlay: Partial<Underlay> = {}): Underlay {
  return {
    ifindex: 2,
    name: "eth0",
    address: "192.168.2.1",
    prefixLength: 24,
    nearby: [{ prefix: "192.168.2.0/24", direct: true }],
    publicIp: "192.168.2.1",
    mtu: 1500,
    ...underlay,
  };
}

/** A host's place in the cluster. */
export function sampleState(state: Partial<NodeState> = {}): NodeState {
  return {
    nodeId: "n1",
    nodeName: "one",
    network: "10.244.0.0/16",
    serviceNetwork: "10.96.0.0/16",
    subnet: "10.244.3.0/24",
    gateway: "10.244.3.1",
    mtu: 1450,
    bridge: "knet0",
    ipMasq: true,
    backend: "vxlan",
    device: "knet.1",
    port: 8472,
    publicIp: "192.168.2.1",
    iface: "eth0",
    ...state,
  };
}
