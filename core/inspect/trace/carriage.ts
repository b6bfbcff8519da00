/**
 * The way from this host's device to the peer, whichever backend it is.
 *
 * @module
 */
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { listAddresses } from "../../../ffi/rtnl/address.ts";
import { getLink, type Link } from "../../../ffi/rtnl/link.ts";
import type { Route } from "../../../ffi/rtnl/route.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { broken, fine, type TraceStep } from "./step.ts";
import { outerStep, vxlanSteps } from "./way.ts";

/** From this host's device to the peer, whichever backend it is. */
export function* carriage(
  rtnl: NetlinkSocket,
  state: NodeState,
  route: Route,
  link: Link,
  peer: Lease,
): Generator<TraceStep> {
  if (link.vxlan !== undefined) {
    yield* vxlanSteps(rtnl, link, route.gateway ?? peer.subnet.split("/")[0]!, peer);
    const { vni, port, local } = link.vxlan;
    yield outerStep(rtnl, peer, {
      ...vrfOf(rtnl, link.vxlan.link),
      what: `VXLAN: UDP from ${local ?? "this host"} to ${peer.publicIp}:${port}, VNI ${vni}`,
      ...(local !== undefined && { src: local }),
      bytes: link.mtu + (peer.family === 4 ? 50 : 70),
    });
  } else if (link.kind === "tun") {
    if (!link.carrier) {
      yield broken("tunnel", `no program reads from ${link.name}`, "Start the agent: knet join");
      return;
    }
    yield fine("tunnel", `the agent reads it from ${link.name} and puts it into UDP`);
    // The agent's socket is bound to that address, which rules may go by.
    const own = listAddresses(rtnl, { family: peer.family })
      .some(({ address }) => address === state.publicIp);
    yield outerStep(rtnl, peer, {
      ...(own && { src: state.publicIp }),
      what: `UDP to ${peer.publicIp}`,
      bytes: link.mtu + (peer.family === 4 ? 28 : 48),
    });
  } else if (route.gateway !== undefined && route.gateway !== peer.publicIp) {
    yield broken(
      "route",
      `the next hop ${route.gateway} is not "${peer.nodeName}", ${peer.publicIp}`,
      "The agent puts it right: knet join",
    );
  } else {
    yield outerStep(rtnl, peer, {
      oif: link.index,
      what: `goes to ${peer.publicIp} as it is, without a tunnel`,
      bytes: state.mtu,
    });
  }
}

/** A tunnel by a device in a VRF has its socket there, and takes its routes. */
function vrfOf(rtnl: NetlinkSocket, device: number | undefined): { readonly oif?: number } {
  if (!device) return {};
  const master = getLink(rtnl, device)?.master;
  const vrf = master === undefined ? undefined : getLink(rtnl, master);
  return vrf?.kind === "vrf" ? { oif: vrf.index } : {};
}
