/**
 * udp: each IP packet travels as the payload of a UDP datagram to the host that owns its destination. For hosts where
 * nothing but plain UDP passes, and for kernels without VXLAN.
 *
 * The kernel has one entry, a route of the whole cluster network into a TUN device; this host's own subnet is connected
 * more closely, on the bridge. Which peer has which subnet is known to the packet loop alone (core/overlay/udp/), and so is
 * what is unreachable. No packet flows while no agent runs.
 *
 * The datagrams are those of flannel's udp backend: the bare packet, port 8285.
 *
 * @module
 */
import { formatPrefix, parsePrefix } from "../../base/address.ts";
import { OWN_CLAIM, type Wish, wish } from "../../kernel/kind.ts";
import { knetRoute, route } from "../../kernel/kinds/route.ts";
import { makeTunnel } from "../udp/tunnel.ts";
import { type Backend, type BackendContext, NO_PATH } from "./backend.ts";

const UDP_HEADER = 8;

/** Name of the TUN device. */
export const UDP_DEVICE = "knet.tun0";

function shared({ config, family }: BackendContext, device: number): Wish {
  const target = { family, dst: config.network, ifindex: device, onlink: false };
  return wish(route, knetRoute(target), OWN_CLAIM);
}

/** The udp backend. */
export const udp: Backend = {
  type: "udp",
  overhead: (family) => (family === 4 ? 20 : 40) + UDP_HEADER,
  backendData: () => ({}),

  device(context) {
    const { address, family } = parsePrefix(context.subnet);
    return {
      name: UDP_DEVICE,
      kind: "tun",
      mtu: context.mtu,
      addresses: [formatPrefix({ family, address, length: family === 4 ? 32 : 128 })],
    };
  },

  peer(context, device, peer) {
    if (peer.agentId === "") return NO_PATH; // A reservation that nobody has taken yet.
    return { via: "udp", entries: [], shared: shared(context, device) };
  },

  shared,
  companion: makeTunnel,
};
