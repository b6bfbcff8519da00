/**
 * The end of IPIP tunnels: what a real server needs to take packets that were sent through one.
 *
 * @module
 */
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { addAddress, deleteAddress, listAddresses } from "../../../ffi/rtnl/address.ts";
import { addLink, changeLink, getLink } from "../../../ffi/rtnl/link.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import { KnetError } from "../../base/error.ts";
import type { TunnelEnd } from "../firewall/firewall.ts";
import { ensureSysctls } from "./sysctls.ts";

/** The kernel's own IPIP device, which takes what comes from anywhere. */
const TUNNEL_DEVICE = "tunl0";
/**
 * Any address: through a device without one the kernel takes nothing as soon as rp_filter is set, loosely or not. Link-local
 * (RFC 3927) and with a scope that makes nobody use it as a source.
 */
const ADDRESS = "169.254.107.110";
const RT_SCOPE_LINK = 253; // linux/rtnetlink.h

/**
 * Makes the namespace that the thread is in take IPIP packets, from whomever.
 *
 * @returns what was done, in words.
 * @throws {KnetError} if the kernel has no IPIP.
 */
export function ensureTunnelEnd(rtnl: NetlinkSocket): string[] {
  const link = getLink(rtnl, TUNNEL_DEVICE) ?? makeTunnelDevice(rtnl);
  const { index } = link;
  // The answer leaves by another device than the one by which the request came; the stricter of the two values counts.
  const all = readSysctl("net.ipv4.conf.all.rp_filter") === "0" ? "0" : "2";
  const changes = ensureSysctls([
    { name: `net.ipv4.conf.${TUNNEL_DEVICE}.rp_filter`, value: all },
  ]);
  if (listAddresses(rtnl, { ifindex: index }).every(({ family }) => family !== 4)) {
    addAddress(rtnl, { ifindex: index, address: ADDRESS, prefixLength: 32, scope: RT_SCOPE_LINK });
    changes.push(`added ${ADDRESS} to ${TUNNEL_DEVICE}`);
  }
  if (link.up) return changes;
  changeLink(rtnl, index, { up: true });
  return [...changes, `set ${TUNNEL_DEVICE} up`];
}

/** Whether the device is nobody's but knet's, or would be: somebody else's has another address. */
export function tunnelEndOf(rtnl: NetlinkSocket): TunnelEnd {
  const index = getLink(rtnl, TUNNEL_DEVICE)?.index;
  if (index === undefined) return "own";
  const others = listAddresses(rtnl, { ifindex: index })
    .some(({ family, address }) => family === 4 && address !== ADDRESS);
  return others ? "shared" : "own";
}

/** Undoes {@linkcode ensureTunnelEnd}; a device that somebody else uses has another address, and is left alone. */
export function releaseTunnelEnd(rtnl: NetlinkSocket): string[] {
  const link = getLink(rtnl, TUNNEL_DEVICE);
  if (link === undefined) return [];
  const ours = listAddresses(rtnl, { ifindex: link.index })
    .some(({ address }) => address === ADDRESS);
  if (!ours) return [];
  deleteAddress(rtnl, { ifindex: link.index, address: ADDRESS, prefixLength: 32 });
  changeLink(rtnl, link.index, { up: false });
  return [`set ${TUNNEL_DEVICE} down`];
}

function makeTunnelDevice(rtnl: NetlinkSocket) {
  try {
    addLink(rtnl, { name: TUNNEL_DEVICE, kind: "ipip" });
  } catch (error) {
    // The module makes the device as it is loaded: then it is there, which is as good.
    const code = error instanceof NetlinkError ? error.code : "";
    if (code === "EOPNOTSUPP") {
      throw new KnetError("Cannot receive from tunnels: this kernel has no IPIP", {
        cause: error,
        remedy: "Install or load the kernel module ipip",
      });
    }
    if (code !== "EEXIST") throw error;
  }
  const link = getLink(rtnl, TUNNEL_DEVICE);
  if (link === undefined) throw new KnetError(`Cannot use device "${TUNNEL_DEVICE}": it vanished`);
  return link;
}
