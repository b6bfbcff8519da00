/**
 * host-gw: no tunnel. Each peer is the gateway to its own subnet, `SUBNET via PUBLIC-IP dev UNDERLAY`, which asks that it be on the
 * same link: a router in between knows nothing of the cluster's subnets.
 *
 * The routes are plain. A next-hop object is deleted for good when the underlay loses its carrier, and no agent may be there to make it
 * again; a plain route waits for the carrier by itself. Its price is that the kernel compares each new route with all others through the
 * same interface, which is felt above some thousand peers.
 *
 * No ICMP redirects come of this, and the kernel's setting for them is left alone, as flannel leaves it: a container's packet enters by
 * the bridge and leaves by the underlay, and the kernel sends redirects only for what leaves by the interface that it entered.
 *
 * @module
 */
import type { Lease } from "../../cluster/lease.ts";
import { onSameLink } from "../same_link.ts";
import type { Underlay } from "../underlay.ts";
import { wish } from "../../kernel/kind.ts";
import { knetRoute, route } from "../../kernel/kinds/route.ts";
import { type Backend, claimOf, NO_PATH, type PeerPath } from "./backend.ts";

/** The plain route to a peer on the same link. */
export function directPath(underlay: Underlay, peer: Lease): PeerPath {
  return {
    via: "direct",
    entries: [wish(
      route,
      knetRoute({
        family: peer.family,
        dst: peer.subnet,
        gateway: peer.publicIp,
        ifindex: underlay.ifindex,
        onlink: false,
      }),
      claimOf(peer),
    )],
  };
}

/** The host-gw backend. */
export const hostGw: Backend = {
  type: "host-gw",
  overhead: () => 0,
  backendData: () => ({}),
  device: () => undefined,

  peer({ underlay }, _device, peer) {
    if (peer.agentId === "") return NO_PATH; // A reservation that nobody has taken yet.
    if (onSameLink(underlay, peer.publicIp)) return directPath(underlay, peer);
    return {
      via: "none",
      entries: [],
      warning: `${peer.publicIp} is not on the link of ${underlay.name} (${
        onLinkNetworks(underlay)
      }), so host-gw has no route to it: put the host on the same link, or use the backend vxlan`,
    };
  },
};

function onLinkNetworks({ nearby }: Underlay): string {
  return nearby.filter((one) => one.direct).map((one) => one.prefix).join(", ");
}
