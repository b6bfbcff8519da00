/**
 * Next-hop objects on the overlay's device, one a gateway: a device with thousands of plain onlink routes is quadratic in the kernel.
 * Their numbers come from a range of knet's own; what others hold of it is left alone.
 *
 * @module
 */
import { encodeNexthop, listNexthops, type Nexthop } from "../../../ffi/rtnl/nexthop.ts";
import { RTNLGRP } from "../../../ffi/linux/rtnetlink.ts";
import type { Family } from "../../cluster/lease.ts";
import { type Kind, KNET_PROTOCOL } from "../kind.ts";

/** First id of knet's own next-hop objects; "kn" in ASCII above 16 bits of counter. */
export const FIRST_NEXTHOP_ID = 0x6b6e0000;

/** The next hop to a gateway that is on the link although no address of ours says so. Its id is given out when it is written. */
export function onlinkNexthop(family: Family, gateway: string, ifindex: number): Nexthop {
  return { id: 0, family, gateway, ifindex, protocol: KNET_PROTOCOL, onlink: true, flags: 0 };
}

/** The kind. */
export const nexthop: Kind<Nexthop> = {
  name: "nexthop",
  rank: 2,
  key: ({ id, gateway }) => id === 0 || id >= FIRST_NEXTHOP_ID ? gateway : undefined,
  same: (wanted, present) =>
    present.protocol === wanted.protocol && present.gateway === wanted.gateway &&
    present.ifindex === wanted.ifindex &&
    present.onlink === wanted.onlink && present.family === wanted.family &&
    present.blackhole !== true && present.group === undefined,
  encode: encodeNexthop,
  list: (socket, { device, wide }) =>
    device === undefined ? [] : listNexthops(socket, wide ? {} : { ifindex: device }),
  ours: ({ protocol, ifindex, blackhole, group, id }, { device }) =>
    protocol === KNET_PROTOCOL &&
    // One that was made a blackhole or a group has no device any more.
    (ifindex === device || (id >= FIRST_NEXTHOP_ID && (blackhole === true || group !== undefined))),
  groups: () => [RTNLGRP.NEXTHOP],
  told: (event) => event.kind === "nexthop" ? event.value : undefined,
  numbers: {
    first: FIRST_NEXTHOP_ID,
    of: ({ id }) => id,
    // Spelled out, here and in routes: copying by `...` takes as long as all the rest of a plan.
    assign: ({ family, gateway, ifindex, protocol, onlink, flags }, id) => ({
      id,
      family,
      gateway: gateway!,
      ifindex: ifindex!,
      protocol,
      onlink,
      flags,
    }),
  },
};
