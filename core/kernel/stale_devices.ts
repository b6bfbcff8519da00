/**
 * What a change of the backend, or of its VNI, leaves on a host.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { deleteLink, type Link, listLinks } from "../../ffi/rtnl/link.ts";

/** Devices that another backend, or another VNI, of knet's has left. Pure. */
export function staleDevices(links: readonly Link[], keep: string | undefined): Link[] {
  return links.filter(({ name, kind }) =>
    name !== keep &&
    ((kind === "vxlan" && /^knet\.\d+$/.test(name)) ||
      (kind === "tun" && /^knet\.tun\d+$/.test(name)))
  );
}

/**
 * Deletes what another backend has left, its entries with it.
 *
 * @param links The host's, if they have just been read.
 * @returns Names of the devices.
 * @throws {NetlinkError}
 */
export function removeStaleDevices(
  rtnl: NetlinkSocket,
  keep: string | undefined,
  links: readonly Link[] = listLinks(rtnl),
): string[] {
  const stale = staleDevices(links, keep);
  for (const { index } of stale) deleteLink(rtnl, index);
  return stale.map(({ name }) => name);
}
