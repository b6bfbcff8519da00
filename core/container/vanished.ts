/**
 * Containers whose namespace is gone: finding them, and freeing their addresses.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { bootId as currentBootId } from "../cluster/node_identity.ts";
import {
  type BookPlace,
  type ContainerRecord,
  lockBook,
  readBook,
  writeBook,
} from "./addresses.ts";
import { reopen } from "./namespace.ts";
import { movePorts } from "./publish.ts";
import { linksByName, removeHostEnd } from "./wire.ts";

/**
 * Whether a container is gone for good.
 *
 * A namespace may live on without its name, held by a process; but it takes its interfaces with it when
 * it dies, and a veth takes its other end. So the host's end tells, and only where that is missing, which
 * somebody may have deleted, does the name count.
 *
 * @param links The host's, by name; asked of the kernel if absent.
 */
export function isVanished(
  record: ContainerRecord,
  links?: { has(hostIfname: string): boolean },
): boolean {
  if (links === undefined ? hasLink(record.hostIfname) : links.has(record.hostIfname)) return false;
  const handle = reopen(record);
  handle?.[Symbol.dispose]();
  return handle === undefined;
}

function hasLink(name: string): boolean {
  using rtnl = openRtnl();
  return getLink(rtnl, name) !== undefined;
}

/**
 * Forgets those of some containers that are gone, with the book's lock held.
 *
 * @param asked which to look at.
 * @returns the book without them.
 */
export function forgetVanished(
  rtnl: NetlinkSocket,
  place: BookPlace,
  book: readonly ContainerRecord[],
  asked: (record: ContainerRecord) => boolean,
  links?: { has(hostIfname: string): boolean },
): readonly ContainerRecord[] {
  const vanished = book.filter((record) => asked(record) && isVanished(record, links));
  if (vanished.length === 0) return book;
  // What its packets waited in does not go with the namespace.
  for (const { hostIfname } of vanished) removeHostEnd(rtnl, hostIfname);
  movePorts(vanished, []);
  const rest = book.filter((record) => !vanished.includes(record));
  // It may be started again, by the same id.
  writeBook(place, rest, undefined, vanished);
  return rest;
}

/**
 * Frees the addresses of containers whose namespace is gone.
 *
 * @returns those that were freed.
 */
export async function reclaimVanished(
  options: { readonly dataDir: string; readonly bootId?: string },
): Promise<ContainerRecord[]> {
  const place = { dataDir: options.dataDir, bootId: options.bootId ?? currentBootId() };
  // Looked at without the lock first: there is nearly always nothing to do.
  using rtnl = openRtnl();
  const seen = readBook(place);
  if (seen.length === 0) return [];
  const links = linksByName(rtnl);
  if (!seen.some((record) => isVanished(record, links))) return [];
  using _lock = await lockBook(place.dataDir);
  const book = readBook(place);
  // Between the two looks others may have attached.
  const now = linksByName(rtnl);
  const rest = forgetVanished(rtnl, place, book, () => true, now);
  return book.filter((record) => !rest.includes(record));
}
