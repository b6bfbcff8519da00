/**
 * Notifications of rtnetlink's multicast groups.
 *
 * @module
 */
import { RTM } from "../linux/rtnetlink.ts";
import type { MessageView } from "../netlink/message.ts";
import { decodeAddress, type InterfaceAddress } from "./address.ts";
import { decodeFdb, type FdbEntry } from "./fdb.ts";
import { decodeLink, type Link } from "./link.ts";
import { decodeNeighbour, type Neighbour } from "./neighbour.ts";
import { decodeNexthop, type Nexthop } from "./nexthop.ts";
import { decodeRoute, type Route } from "./route.ts";

/** What an event is about. */
export type About =
  | { readonly kind: "link"; readonly value: Link }
  | { readonly kind: "address"; readonly value: InterfaceAddress }
  | { readonly kind: "route"; readonly value: Route }
  | { readonly kind: "nexthop"; readonly value: Nexthop }
  | { readonly kind: "neighbour"; readonly value: Neighbour }
  | { readonly kind: "fdb"; readonly value: FdbEntry }
  | { readonly kind: "netconf" }
  /** A queue of a device, or what is done with packets before it. */
  | { readonly kind: "traffic" }
  | { readonly kind: "other" };

/** One notification: something is new, changed or (`deleted`) gone. */
export type RtnlEvent = About & {
  readonly deleted: boolean;
  /** Port id of the socket whose request led to it, 0 if the kernel did it by itself. */
  readonly pid: number;
};

function about(message: MessageView): About {
  switch (message.type) {
    case RTM.NEWLINK:
    case RTM.DELLINK: {
      const value = decodeLink(message);
      return value ? { kind: "link", value } : { kind: "other" };
    }
    case RTM.NEWADDR:
    case RTM.DELADDR: {
      const value = decodeAddress(message);
      return value ? { kind: "address", value } : { kind: "other" };
    }
    case RTM.NEWROUTE:
    case RTM.DELROUTE: {
      const value = decodeRoute(message);
      return value ? { kind: "route", value } : { kind: "other" };
    }
    case RTM.NEWNEXTHOP:
    case RTM.DELNEXTHOP: {
      const value = decodeNexthop(message);
      return value ? { kind: "nexthop", value } : { kind: "other" };
    }
    case RTM.NEWNEIGH:
    case RTM.DELNEIGH: {
      const fdb = decodeFdb(message);
      if (fdb) return { kind: "fdb", value: fdb };
      const value = decodeNeighbour(message);
      return value ? { kind: "neighbour", value } : { kind: "other" };
    }
    case RTM.NEWQDISC:
    case RTM.DELQDISC:
    case RTM.NEWTFILTER:
    case RTM.DELTFILTER:
      return { kind: "traffic" };
    case RTM.NEWNETCONF:
      return { kind: "netconf" };
    default:
      return { kind: "other" };
  }
}

const DELETIONS = new Set<number>([
  RTM.DELLINK,
  RTM.DELADDR,
  RTM.DELROUTE,
  RTM.DELNEXTHOP,
  RTM.DELNEIGH,
  RTM.DELQDISC,
  RTM.DELTFILTER,
]);

/** Reads a notification. */
export function decodeEvent(message: MessageView): RtnlEvent {
  return { ...about(message), deleted: DELETIONS.has(message.type), pid: message.pid };
}
