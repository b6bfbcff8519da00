/**
 * What the host remembers of a container that is gone.
 *
 * @module
 */
import { NUD_PERMANENT } from "../../ffi/linux/neighbour.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { deleteNeighbour, listNeighbours } from "../../ffi/rtnl/neighbour.ts";
import { familyOf } from "../base/address.ts";

/** Makes the host forget the MAC address that somebody had: whoever gets the address next has another. */
export function forgetNeighbour(rtnl: NetlinkSocket, address: string): void {
  for (const { dst, state, ifindex } of listNeighbours(rtnl, { family: familyOf(address) })) {
    if (dst !== address || (state & NUD_PERMANENT) !== 0) continue;
    try {
      deleteNeighbour(rtnl, { ifindex, dst });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error; // Gone by itself, or with the device.
    }
  }
}
