/**
 * VXLAN (RFC 7348) without learning and without multicast.
 *
 * Each host has one VXLAN device that carries the first address of its subnet as a /32 (or /128). Four entries lead to a peer:
 *
 * - a route, `SUBNET via SUBNET.0 dev knet.1 onlink`: one per peer, so that the tables' size is the cluster's,
 *   not its containers';
 * - a next-hop object which carries that route, because a device with thousands of plain onlink routes is quadratic in the kernel;
 * - a permanent neighbour, `SUBNET.0 lladdr MAC`: nothing is ever asked by broadcast, so nothing can be answered wrongly;
 * - a forwarding entry, `MAC dst PUBLIC-IP self permanent`: where the outer packet goes.
 *
 * With direct routing, a peer on the same link has none of them but a plain route, as host-gw makes it.
 *
 * @module
 */
import { formatPrefix, parsePrefix } from "../../base/address.ts";
import type { BackendConfig, VxlanConfig } from "../../cluster/config.ts";
import { deriveMac } from "../../base/mac.ts";
import { onSameLink } from "../same_link.ts";
import { wish } from "../../kernel/kind.ts";
import { fdb, fdbEntry } from "../../kernel/kinds/fdb.ts";
import { neighbour, permanentNeighbour } from "../../kernel/kinds/neighbour.ts";
import { nexthop, onlinkNexthop } from "../../kernel/kinds/nexthop.ts";
import { knetRoute, route } from "../../kernel/kinds/route.ts";
import { type Backend, claimOf, NO_PATH } from "./backend.ts";
import { directPath } from "./host_gw.ts";

const ETHERNET = 14;
const UDP_AND_VXLAN = 8 + 8;

function options(config: BackendConfig): VxlanConfig {
  if (config.type !== "vxlan") throw new TypeError(`Not a vxlan configuration: ${config.type}`);
  return config;
}

/** Name of the device for a VNI. */
export function vxlanDeviceName(vni: number): string {
  return `knet.${vni}`;
}

/** The VXLAN backend. */
export const vxlan: Backend = {
  type: "vxlan",
  overhead: (family) => (family === 4 ? 20 : 40) + UDP_AND_VXLAN + ETHERNET,

  backendData(config, nodeId, attempt) {
    const { vni } = options(config);
    return { vni, mac: deriveMac("vtep", nodeId, vni, ...(attempt > 0 ? [attempt] : [])) };
  },

  device(context) {
    const { vni, port } = options(context.config.backend);
    const { address, family } = parsePrefix(context.subnet);
    return {
      name: vxlanDeviceName(vni),
      kind: "vxlan",
      mac: context.backendData.mac!,
      mtu: context.mtu,
      addresses: [formatPrefix({ family, address, length: family === 4 ? 32 : 128 })],
      vxlan: { vni, port, local: context.underlay.address, link: context.underlay.ifindex },
    };
  },

  peer(context, device, peer) {
    const { mac } = peer.backendData;
    if (mac === undefined) return NO_PATH; // A reservation that nobody has taken yet.
    const { underlay } = context;
    if (options(context.config.backend).directRouting && onSameLink(underlay, peer.publicIp)) {
      return directPath(underlay, peer);
    }
    const { family, subnet } = peer;
    // Leases hold canonical prefixes.
    const gateway = subnet.slice(0, subnet.indexOf("/"));
    const claim = claimOf(peer);
    return {
      via: "vxlan",
      entries: [
        wish(fdb, fdbEntry(device, mac, peer.publicIp), claim),
        wish(neighbour, permanentNeighbour(family, device, gateway, mac), claim),
        wish(nexthop, onlinkNexthop(family, gateway, device), claim),
        wish(
          route,
          knetRoute({ family, dst: subnet, gateway, ifindex: device, onlink: true }),
          claim,
        ),
      ],
    };
  },
};
