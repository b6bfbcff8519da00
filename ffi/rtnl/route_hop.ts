/**
 * Next hops inside a route's message: several of them (RTA_MULTIPATH, struct rtnexthop), and a router of the other family (RTA_VIA,
 * struct rtvia).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress, parseAddress, textFamily } from "../ip.ts";
import { RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA } from "../linux/rtnetlink.ts";
import type { Mutable } from "../mutable.ts";
import type { Batch } from "../netlink/batch.ts";
import { Attributes } from "../netlink/message.ts";

/** One of several ways that a route leads. */
export interface RouteHop {
  /** Index of the device. */
  readonly ifindex: number;
  /** Address of the router, of either family; absent: the device leads to the destination itself. */
  readonly gateway?: string;
  /** How much of the traffic goes this way, in proportion to the others'; from 1. */
  readonly weight: number;
  /** RTNH_F_ bits. */
  readonly flags: number;
}

/** Bytes of struct rtnexthop. */
const RTNEXTHOP = 8;

/** The router's address in a route's or hop's attributes, whichever family it has. */
export function readGateway(a: Attributes, family: Family): string | undefined {
  const at = a.at(RTA_GATEWAY, family === 4 ? 4 : 16);
  if (at >= 0) return formatAddress(a.data, at, family);
  const via = a.at(RTA_VIA, 2);
  if (via < 0) return undefined;
  const other = familyOfAf(a.view.getUint16(via, true));
  if (other === undefined || a.length(RTA_VIA) < 2 + (other === 4 ? 4 : 16)) return undefined;
  return formatAddress(a.data, via + 2, other);
}

/** Writes the router's address into the message of a route of a family. */
export function writeGateway(batch: Batch, family: Family, gateway: string): void {
  const other = textFamily(gateway);
  if (other === family) return batch.attrAddress(RTA_GATEWAY, gateway);
  const bytes = parseAddress(gateway);
  const via = new Uint8Array(2 + bytes.length);
  new DataView(via.buffer).setUint16(0, afOf(other), true);
  via.set(bytes, 2);
  batch.attrBytes(RTA_VIA, via);
}

const inside = new Attributes();

/** The several next hops of a route; undefined if it has none such. */
export function readHops(a: Attributes, family: Family): RouteHop[] | undefined {
  const start = a.at(RTA_MULTIPATH);
  if (start < 0) return undefined;
  const end = start + a.length(RTA_MULTIPATH);
  const { data, view } = a;
  const hops: RouteHop[] = [];
  for (let at = start; at + RTNEXTHOP <= end;) {
    const length = view.getUint16(at, true);
    if (length < RTNEXTHOP || at + length > end) break;
    const hop: Mutable<RouteHop> = {
      ifindex: view.getInt32(at + 4, true),
      weight: data[at + 3]! + 1,
      flags: data[at + 2]!,
    };
    const gateway = readGateway(
      inside.parse(data, view, at + RTNEXTHOP, at + length),
      family,
    );
    if (gateway !== undefined) hop.gateway = gateway;
    hops.push(hop);
    at += (length + 3) & ~3;
  }
  return hops;
}
