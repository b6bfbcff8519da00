/**
 * What a change of the backend, or of its VNI, leaves on a host.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { deleteLink, type Link, listLinks } from "../../ffi/rtnl/link.ts";
import { isOwn, type Owner, readMark } from "./owner.ts";

/** Which devices are this knet's. */
export interface Known {
  readonly owner: Owner;
  /** Names of devices without a mark that this host recorded: those of an earlier version. */
  readonly recorded: readonly string[];
}

/** Devices that another backend, or another VNI, of this knet has left. Those of another knet have the same names. Pure. */
export function staleDevices(
  links: readonly Link[],
  keep: string | undefined,
  { owner, recorded }: Known,
): Link[] {
  return links.filter(({ name, kind, alias }) => {
    if (name === keep) return false;
    const ours = (kind === "vxlan" && /^knet\.\d+$/.test(name)) ||
      (kind === "tun" && /^knet\.tun\d+$/.test(name));
    if (!ours) return false;
    const mark = readMark(alias);
    return mark === undefined ? recorded.includes(name) : mark.made && isOwn(mark, owner);
  });
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
  known: Known,
  links: readonly Link[] = listLinks(rtnl),
): string[] {
  const stale = staleDevices(links, keep, known);
  for (const { index } of stale) deleteLink(rtnl, index);
  return stale.map(({ name }) => name);
}
