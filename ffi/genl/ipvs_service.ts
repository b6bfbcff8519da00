/**
 * Virtual servers of IPVS (IPVS_SVC_ATTR_ of linux/ip_vs.h).
 *
 * @module
 */
import { afOf, type Family, familyOfAf, formatAddress } from "../ip.ts";
import { NLA_F_NESTED, NLM_F_REQUEST } from "../linux/netlink.ts";
import type { Batch } from "../netlink/batch.ts";
import type { Attributes } from "../netlink/message.ts";
import { IPVS_CMD, IPVS_CMD_ATTR, type IpvsSocket } from "./ipvs.ts";
import { decodeStats, type IpvsStats } from "./ipvs_stats.ts";

/** IP_VS_SVC_F_ bits of linux/ip_vs.h. */
export const SVC_F = { PERSISTENT: 0x1, HASHED: 0x2, ONEPACKET: 0x4, SCHED1: 0x8, SCHED2: 0x10 };

/** IPPROTO_ numbers of the protocols that IPVS balances. */
export const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;

/** What tells virtual servers apart: protocol, address and port, or a firewall mark alone. */
export type IpvsServiceId =
  & { readonly family: Family }
  & (
    | { readonly protocol: number; readonly address: string; readonly port: number }
    | { readonly fwmark: number }
  );

/** How a virtual server balances. */
export interface IpvsServiceSettings {
  /** Name of the scheduler; the kernel loads ip_vs_NAME. */
  readonly scheduler: string;
  /** IP_VS_SVC_F_ bits without HASHED. */
  readonly flags: number;
  /** Seconds for which a client stays with its real server; counts with PERSISTENT only. */
  readonly timeout: number;
  /** Prefix length of the networks whose clients count as one. */
  readonly netmask: number;
}

/** A virtual server. */
export type IpvsService = IpvsServiceId & IpvsServiceSettings & {
  /** Name of the persistence engine, if it has one. */
  readonly persistenceEngine?: string;
  readonly stats: IpvsStats;
};

const AF = 1;
const PROTOCOL = 2;
const ADDR = 3;
const PORT = 4;
const FWMARK = 5;
const SCHED_NAME = 6;
const FLAGS = 7;
const TIMEOUT = 8;
const NETMASK = 9;
const STATS = 10;
const PE_NAME = 11;
const STATS64 = 12;

/** Writes the attribute that says which virtual server is meant. */
export function serviceId(batch: Batch, id: IpvsServiceId): void {
  batch.attrU16(AF, afOf(id.family));
  if ("fwmark" in id) batch.attrU32(FWMARK, id.fwmark);
  else {
    batch.attrU16(PROTOCOL, id.protocol);
    batch.attrAddress(ADDR, id.address);
    batch.attrU16be(PORT, id.port);
  }
}

/** `TCP 10.96.0.1:80`, for error messages. */
export function serviceText(id: IpvsServiceId): string {
  if ("fwmark" in id) return `FWM ${id.fwmark}`;
  const name = Object.entries(IPPROTO).find(([, number]) => number === id.protocol)?.[0];
  const address = id.family === 6 ? `[${id.address}]` : id.address;
  return `${name?.toUpperCase() ?? id.protocol} ${address}:${id.port}`;
}

const VERBS = {
  add: IPVS_CMD.NEW_SERVICE,
  change: IPVS_CMD.SET_SERVICE,
} as const;

/** Writes a message that adds a virtual server or changes its settings. */
export function encodeService(
  socket: IpvsSocket,
  batch: Batch,
  verb: "add" | "change",
  service: IpvsServiceId & IpvsServiceSettings,
): void {
  socket.begin(
    batch,
    VERBS[verb],
    NLM_F_REQUEST,
    () => `${verb} virtual server ${serviceText(service)} with scheduler ${service.scheduler}`,
  );
  const nest = batch.beginNest(IPVS_CMD_ATTR.SERVICE | NLA_F_NESTED);
  serviceId(batch, service);
  batch.attrString(SCHED_NAME, service.scheduler);
  // struct ip_vs_flags: the bits, and a mask of those that count.
  const flags = new Uint8Array(8);
  const view = new DataView(flags.buffer);
  view.setUint32(0, service.flags, true);
  view.setUint32(4, 0xffffffff, true);
  batch.attrBytes(FLAGS, flags);
  batch.attrU32(TIMEOUT, service.timeout);
  batch.attrU32(NETMASK, netmaskOf(service.family, service.netmask));
  batch.endNest(nest);
  batch.end();
}

/** Writes a message that deletes a virtual server and its real servers. */
export function encodeServiceDeletion(socket: IpvsSocket, batch: Batch, id: IpvsServiceId): void {
  socket.begin(
    batch,
    IPVS_CMD.DEL_SERVICE,
    NLM_F_REQUEST,
    () => `delete virtual server ${serviceText(id)}`,
  );
  const nest = batch.beginNest(IPVS_CMD_ATTR.SERVICE | NLA_F_NESTED);
  serviceId(batch, id);
  batch.endNest(nest);
  batch.end();
}

/** What the kernel holds for a prefix length: the mask's bytes for IPv4, the length itself for IPv6. */
function netmaskOf(family: Family, length: number): number {
  if (family === 6) return length;
  const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
  return ((mask & 0xff) << 24 | (mask & 0xff00) << 8 | mask >>> 8 & 0xff00 | mask >>> 24) >>> 0;
}

function prefixLengthOf(family: Family, netmask: number): number {
  if (family === 6) return netmask;
  let length = 0;
  for (let bits = netmask; bits !== 0; bits >>>= 1) length += bits & 1;
  return length;
}

function decodeService(a: Attributes): IpvsService | undefined {
  const family = familyOfAf(a.u16(AF) ?? 0);
  if (family === undefined) return undefined;
  const fwmark = a.u32(FWMARK);
  const stats = a.nested(STATS64) ?? a.nested(STATS);
  const engine = a.string(PE_NAME);
  const flags = a.at(FLAGS, 4);
  return {
    family,
    ...(fwmark ? { fwmark } : {
      protocol: a.u16(PROTOCOL) ?? 0,
      address: formatAddress(a.data, a.at(ADDR, family === 4 ? 4 : 16), family),
      port: a.u16be(PORT) ?? 0,
    }),
    scheduler: a.string(SCHED_NAME) ?? "",
    flags: (flags < 0 ? 0 : a.view.getUint32(flags, true)) & ~SVC_F.HASHED,
    timeout: a.u32(TIMEOUT) ?? 0,
    netmask: prefixLengthOf(family, a.u32(NETMASK) ?? 0),
    ...(engine === undefined ? {} : { persistenceEngine: engine }),
    stats: decodeStats(stats),
  };
}

/**
 * Lists all virtual servers, those by firewall mark included.
 *
 * @throws {NetlinkError}
 */
export function listServices(socket: IpvsSocket): IpvsService[] {
  const services: IpvsService[] = [];
  socket.ask(IPVS_CMD.GET_SERVICE, "all", "list virtual servers", () => {}, (a) => {
    const nested = a.nested(IPVS_CMD_ATTR.SERVICE);
    const service = nested && decodeService(nested);
    if (service !== undefined) services.push(service);
  }, () => services.length = 0);
  return services;
}

/**
 * Reads one virtual server.
 *
 * @throws {NetlinkError} ESRCH if there is none.
 */
export function getService(socket: IpvsSocket, id: IpvsServiceId): IpvsService {
  let service: IpvsService | undefined;
  socket.ask(IPVS_CMD.GET_SERVICE, "one", `read virtual server ${serviceText(id)}`, (batch) => {
    const nest = batch.beginNest(IPVS_CMD_ATTR.SERVICE | NLA_F_NESTED);
    serviceId(batch, id);
    batch.endNest(nest);
  }, (a) => {
    const nested = a.nested(IPVS_CMD_ATTR.SERVICE);
    if (nested !== undefined) service = decodeService(nested);
  });
  if (service === undefined) throw new Error(`Cannot read virtual server ${serviceText(id)}`);
  return service;
}
