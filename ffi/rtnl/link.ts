/**
 * Links: making, changing, deleting, listing and finding network devices.
 *
 * @module
 */
import { IFNAMSIZ } from "../linux/if.ts";
import { IFLA_EXT_MASK, IFLA_IFNAME } from "../linux/if_link.ts";
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from "../linux/netlink.ts";
import { RTEXT_FILTER_SKIP_STATS, RTM } from "../linux/rtnetlink.ts";
import { Batch } from "../netlink/batch.ts";
import { NetlinkError } from "../netlink/netlink_error.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import {
  decodeLink,
  encodeLink,
  encodeLinkChange,
  type Link,
  type LinkChange,
  linkHeader,
  type LinkSpec,
} from "./link_message.ts";

export {
  decodeLink,
  encodeLink,
  type Link,
  type LinkChange,
  type LinkSpec,
  type VxlanInfo,
} from "./link_message.ts";

/**
 * Makes a link.
 *
 * @throws {NetlinkError}
 */
export function addLink(socket: NetlinkSocket, spec: LinkSpec): void {
  const batch = new Batch(1024);
  // The kernel takes the address generation mode only for a device that exists, and makes an address once it is up.
  const { addrGenMode, up, ...rest } = spec;
  const later = addrGenMode !== undefined;
  encodeLink(batch, later || up === undefined ? rest : { ...rest, up });
  socket.request(batch);
  if (!later) return;
  const { index } = getLink(socket, spec.name)!;
  setAddrGenMode(socket, index, addrGenMode);
  if (up) changeLink(socket, index, { up });
}

function setAddrGenMode(socket: NetlinkSocket, index: number, addrGenMode: number): void {
  try {
    changeLink(socket, index, { addrGenMode });
  } catch (error) {
    // A host without IPv6 generates no addresses either.
    if (!(error instanceof NetlinkError && error.code === "EAFNOSUPPORT")) throw error;
  }
}

/**
 * Changes a link in place.
 *
 * @throws {NetlinkError}
 */
export function changeLink(socket: NetlinkSocket, index: number, change: LinkChange): void {
  const batch = new Batch(1024);
  encodeLinkChange(batch, index, change);
  socket.request(batch);
}

/**
 * Deletes a link.
 *
 * @throws {NetlinkError}
 */
export function deleteLink(socket: NetlinkSocket, index: number): void {
  const batch = new Batch(64);
  batch.begin(RTM.DELLINK, NLM_F_REQUEST, () => `delete device #${index}`);
  linkHeader(batch, index, 0, 0);
  batch.end();
  socket.request(batch);
}

/**
 * Lists links.
 *
 * @throws {NetlinkError}
 */
export function listLinks(
  socket: NetlinkSocket,
  filter: { readonly kind?: string; readonly master?: number } = {},
): Link[] {
  const links: Link[] = [];
  socket.dump((batch) => {
    batch.begin(RTM.GETLINK, NLM_F_REQUEST | NLM_F_DUMP, () => "list links");
    linkHeader(batch, 0, 0, 0);
    batch.attrU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    batch.end();
  }, (message) => {
    const link = message.type === RTM.NEWLINK ? decodeLink(message) : undefined;
    if (
      link !== undefined && (filter.kind === undefined || link.kind === filter.kind) &&
      (filter.master === undefined || link.master === filter.master)
    ) links.push(link);
  }, { restart: () => links.length = 0 });
  return links;
}

/**
 * Finds a link by name or index, by asking for that one alone: a host of many containers has many links.
 *
 * @returns undefined if there is none; alternative names (`altname` of `ip link`) do not count.
 * @throws {NetlinkError}
 */
export function getLink(socket: NetlinkSocket, nameOrIndex: string | number): Link | undefined {
  const [name, index] = typeof nameOrIndex === "string"
    ? [nameOrIndex, 0]
    : [undefined, nameOrIndex];
  // What no link can have, the kernel refuses with other errors than that there is none.
  if (name === undefined ? index <= 0 : !isLinkName(name)) return undefined;
  let found: Link | undefined;
  try {
    // Not a dump, but answered alike: one link, then the acknowledgement that was asked for.
    socket.dump((batch) => {
      batch.begin(
        RTM.GETLINK,
        NLM_F_REQUEST | NLM_F_ACK,
        () => `find device ${name === undefined ? `#${index}` : `"${name}"`}`,
      );
      linkHeader(batch, index, 0, 0);
      if (name !== undefined) batch.attrString(IFLA_IFNAME, name);
      batch.attrU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
      batch.end();
    }, (message) => {
      if (message.type === RTM.NEWLINK) found = decodeLink(message);
    });
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "ENODEV") return undefined;
    throw error;
  }
  // The kernel (5.5 and newer) takes an alternative name for a name.
  return name === undefined || found?.name === name ? found : undefined;
}

function isLinkName(name: string): boolean {
  const bytes = new TextEncoder().encode(name).length;
  return bytes > 0 && bytes < IFNAMSIZ && !name.includes("\0");
}
