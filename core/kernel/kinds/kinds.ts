/**
 * All kinds that knet keeps in the kernel's tables.
 *
 * @module
 */
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { nexthopsSupported } from "../../../ffi/rtnl/nexthop.ts";
import type { Kind } from "../kind.ts";
import { fdb } from "./fdb.ts";
import { neighbour } from "./neighbour.ts";
import { nexthop } from "./nexthop.ts";
import { route } from "./route.ts";

/**
 * The kinds that this kernel has.
 *
 * @throws {NetlinkError}
 */
export function kindsOf(rtnl: NetlinkSocket): readonly Kind[] {
  return nexthopsSupported(rtnl) ? KINDS : KINDS.filter((kind) => kind !== nexthop);
}

/** Kinds in the order of their ranks: what comes later needs what came before. */
export const KINDS: readonly Kind[] = ([fdb, neighbour, nexthop, route] as Kind[])
  .sort((a, b) => a.rank - b.rank);
