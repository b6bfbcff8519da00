/**
 * What a change of the backend, or of its VNI, leaves on a host.
 *
 * @module
 */
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { deleteLink, type Link, listLinks } from "../../ffi/rtnl/link.ts";
import { isOwn, type Owner, readMark } from "./owner.ts";

/** Which devices are this knet's. */
export interface Known {
  readonly owner: Owner;
  /** Names of devices without a mark that this host recorded: those of an earlier version. */
  readonly recorded: readonly string[];
}

const KINDS: readonly (string | undefined)[] = ["vxlan", "tun", "bridge"];

/**
 * Devices that another backend, another VNI or another `--bridge` of this knet has left, and what somebody gave another name. Those of
 * another knet may have the same names. Pure.
 *
 * @param keep Names of those that are wanted.
 */
export function staleDevices(
  links: readonly Link[],
  keep: readonly string[],
  { owner, recorded }: Known,
): Link[] {
  return links.filter((link) => {
    const { name, kind, alias } = link;
    if (keep.includes(name) || !KINDS.includes(kind)) return false;
    const mark = readMark(alias);
    if (mark !== undefined) return mark.made && isOwn(mark, owner) && !carriesOthers(link, links);
    return recorded.includes(name) &&
      ((kind === "vxlan" && /^knet\.\d+$/.test(name)) ||
        (kind === "tun" && /^knet\.tun\d+$/.test(name)));
  });
}

/** Whether a bridge with a name that others know, such as cni0, has ports: their containers may hang on it by now. */
export function carriesOthers({ kind, name, index }: Link, links: readonly Link[]): boolean {
  return kind === "bridge" && !name.startsWith("knet") &&
    links.some(({ master }) => master === index);
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
  keep: readonly string[],
  known: Known,
  links: readonly Link[] = listLinks(rtnl),
): string[] {
  const stale = staleDevices(links, keep, known);
  for (const { index } of stale) {
    try {
      deleteLink(rtnl, index);
    } catch (error) {
      // What had another name has been made anew already.
      if (!(error instanceof NetlinkError && error.isGone)) throw error;
    }
  }
  return stale.map(({ name }) => name);
}
