/**
 * Real servers of IPVS, which the kernel calls destinations (IPVS_DEST_ATTR_ of linux/ip_vs.h).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress } from "../ip.ts";
import { NLA_F_NESTED, NLM_F_REQUEST } from "../linux/netlink.ts";
import type { Batch } from "../netlink/batch.ts";
import type { Attributes } from "../netlink/message.ts";
import { IPVS_CMD, IPVS_CMD_ATTR, type IpvsSocket } from "./ipvs.ts";
import { type IpvsServiceId, serviceId, serviceText } from "./ipvs_service.ts";
import { decodeStats, type IpvsStats } from "./ipvs_stats.ts";

/** IP_VS_CONN_F_ forwarding methods of linux/ip_vs.h, by the names of ipvsadm. */
export const FORWARDING = { masq: 0, local: 1, tunnel: 2, route: 3, bypass: 4 } as const;
const FORWARDING_MASK = 7;

/** What tells the real servers of a virtual server apart. */
export interface IpvsDestId {
  /** IPv4 or IPv6. */
  readonly address: string;
  /** In host order. */
  readonly port: number;
  /** Absent: that of the virtual server. Only tunnels may cross. */
  readonly family?: Family;
}

/** How a real server takes part. */
export interface IpvsDestSettings {
  /** One of FORWARDING. */
  readonly forward: number;
  /** Share of new connections; 0 takes none. */
  readonly weight: number;
  /** Connections above which it takes no new ones; 0 is no limit. */
  readonly upper: number;
  /** Connections below which it takes new ones again. */
  readonly lower: number;
}

/** A real server. */
export interface IpvsDest extends IpvsDestId, IpvsDestSettings {
  /** 4 or 6. */
  readonly family: Family;
  /** Connections that are established. */
  readonly activeConnections: number;
  /** Connections in any other state. */
  readonly inactiveConnections: number;
  /** Clients that persistence keeps with it. */
  readonly persistentConnections: number;
  /** What went through it. */
  readonly stats: IpvsStats;
}

const ADDR = 1;
const PORT = 2;
const FWD_METHOD = 3;
const WEIGHT = 4;
const U_THRESH = 5;
const L_THRESH = 6;
const ACTIVE_CONNS = 7;
const INACT_CONNS = 8;
const PERSIST_CONNS = 9;
const STATS = 10;
const ADDR_FAMILY = 11;
const STATS64 = 12;

const COMMANDS = {
  add: IPVS_CMD.NEW_DEST,
  change: IPVS_CMD.SET_DEST,
  delete: IPVS_CMD.DEL_DEST,
} as const;

/** Writes a message that adds, changes or deletes a real server of a virtual server. */
export function encodeDest(
  socket: IpvsSocket,
  batch: Batch,
  verb: "add" | "change",
  service: IpvsServiceId,
  dest: IpvsDestId & IpvsDestSettings,
): void {
  begin(socket, batch, verb, service, dest);
  const nest = batch.beginNest(IPVS_CMD_ATTR.DEST | NLA_F_NESTED);
  destId(batch, service, dest);
  batch.attrU32(FWD_METHOD, dest.forward);
  batch.attrU32(WEIGHT, dest.weight);
  batch.attrU32(U_THRESH, dest.upper);
  batch.attrU32(L_THRESH, dest.lower);
  batch.endNest(nest);
  batch.end();
}

/** Writes a message that deletes a real server. Its connections live on or not by `expire_nodest_conn`. */
export function encodeDestDeletion(
  socket: IpvsSocket,
  batch: Batch,
  service: IpvsServiceId,
  dest: IpvsDestId,
): void {
  begin(socket, batch, "delete", service, dest);
  const nest = batch.beginNest(IPVS_CMD_ATTR.DEST | NLA_F_NESTED);
  destId(batch, service, dest);
  batch.endNest(nest);
  batch.end();
}

function begin(
  socket: IpvsSocket,
  batch: Batch,
  verb: keyof typeof COMMANDS,
  service: IpvsServiceId,
  dest: IpvsDestId,
): void {
  socket.begin(batch, COMMANDS[verb], NLM_F_REQUEST, () => {
    const address = dest.address.includes(":") ? `[${dest.address}]` : dest.address;
    return `${verb} real server ${address}:${dest.port} of ${serviceText(service)}`;
  });
  const nest = batch.beginNest(IPVS_CMD_ATTR.SERVICE | NLA_F_NESTED);
  serviceId(batch, service);
  batch.endNest(nest);
}

function destId(batch: Batch, service: IpvsServiceId, dest: IpvsDestId): void {
  batch.attrAddress(ADDR, dest.address);
  batch.attrU16be(PORT, dest.port);
  // Kernels before 3.18 do not know the attribute, and need it only where the families differ.
  if (dest.family !== undefined && dest.family !== service.family) {
    batch.attrU16(ADDR_FAMILY, afOf(dest.family));
  }
}

function decodeDest(a: Attributes, service: IpvsServiceId): IpvsDest {
  const family = familyOfAf(a.u16(ADDR_FAMILY) ?? 0) ?? service.family;
  return {
    family,
    address: formatAddress(a.data, a.at(ADDR, family === 4 ? 4 : 16), family),
    port: a.u16be(PORT) ?? 0,
    forward: (a.u32(FWD_METHOD) ?? 0) & FORWARDING_MASK,
    weight: a.u32(WEIGHT) ?? 0,
    upper: a.u32(U_THRESH) ?? 0,
    lower: a.u32(L_THRESH) ?? 0,
    activeConnections: a.u32(ACTIVE_CONNS) ?? 0,
    inactiveConnections: a.u32(INACT_CONNS) ?? 0,
    persistentConnections: a.u32(PERSIST_CONNS) ?? 0,
    stats: decodeStats(a.nested(STATS64) ?? a.nested(STATS)),
  };
}

/**
 * Lists the real servers of one virtual server; the kernel has no dump of all.
 *
 * @throws {NetlinkError} ESRCH if there is no such virtual server.
 */
export function listDests(socket: IpvsSocket, service: IpvsServiceId): IpvsDest[] {
  const dests: IpvsDest[] = [];
  const what = `list real servers of ${serviceText(service)}`;
  socket.ask(IPVS_CMD.GET_DEST, "all", what, (batch) => {
    const nest = batch.beginNest(IPVS_CMD_ATTR.SERVICE | NLA_F_NESTED);
    serviceId(batch, service);
    batch.endNest(nest);
  }, (a) => {
    const nested = a.nested(IPVS_CMD_ATTR.DEST);
    if (nested !== undefined) dests.push(decodeDest(nested, service));
  }, () => dests.length = 0);
  return dests;
}
