/**
 * Permanent neighbours on the overlay's device: nothing is ever asked by broadcast, so nothing can be answered wrongly. All of the
 * device's are knet's.
 *
 * @module
 */
import { NUD_NOARP, NUD_PERMANENT } from "../../../ffi/linux/neighbour.ts";
import { encodeNeighbour, listNeighbours, type Neighbour } from "../../../ffi/rtnl/neighbour.ts";
import { RTNLGRP } from "../../../ffi/linux/rtnetlink.ts";
import type { Family } from "../../cluster/lease.ts";
import type { Kind } from "../kind.ts";

/** The permanent entry for an address. */
export function permanentNeighbour(
  family: Family,
  ifindex: number,
  dst: string,
  mac: string,
): Neighbour {
  return { family, ifindex, dst, mac, state: NUD_PERMANENT, flags: 0 };
}

/** The kind. */
export const neighbour: Kind<Neighbour> = {
  name: "neighbour",
  rank: 1,
  key: (entry) => entry.dst,
  same: (wanted, present) =>
    present.mac === wanted.mac && present.ifindex === wanted.ifindex &&
    (present.state & NUD_PERMANENT) !== 0,
  encode: encodeNeighbour,
  list: (socket, { family, device }) =>
    device === undefined ? [] : listNeighbours(socket, { family, ifindex: device }),
  // NUD_NOARP entries are the kernel's own (multicast and broadcast).
  ours: ({ family, ifindex, state }, scope) =>
    ifindex === scope.device && family === scope.family && (state & NUD_NOARP) === 0,
  // The kernel may have made an unresolved entry for the address meanwhile.
  overwrites: true,
  groups: () => [RTNLGRP.NEIGH],
  told: (event) => event.kind === "neighbour" ? event.value : undefined,
  fleeting: ({ state }) => (state & NUD_PERMANENT) === 0,
};
