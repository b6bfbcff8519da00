/**
 * Counters of virtual and real servers (IPVS_STATS_ATTR_ of linux/ip_vs.h).
 *
 * @module
 */
import type { Attributes } from "../netlink/message.ts";

/** What IPVS counts, 64 bits wide where the kernel has them (4.1 and newer). Up to 2^53 exact. */
export interface IpvsStats {
  /** Connections scheduled. */
  readonly connections: number;
  /** Packets from clients. */
  readonly inPackets: number;
  /** Packets to clients. */
  readonly outPackets: number;
  /** Bytes from clients. */
  readonly inBytes: number;
  /** Bytes to clients. */
  readonly outBytes: number;
  /** Connections scheduled a second, over the last few. */
  readonly connectionRate: number;
  /** Packets from clients a second. */
  readonly inPacketRate: number;
  /** Packets to clients a second. */
  readonly outPacketRate: number;
  /** Bytes from clients a second. */
  readonly inByteRate: number;
  /** Bytes to clients a second. */
  readonly outByteRate: number;
}

const FIELDS = [
  "connections",
  "inPackets",
  "outPackets",
  "inBytes",
  "outBytes",
  "connectionRate",
  "inPacketRate",
  "outPacketRate",
  "inByteRate",
  "outByteRate",
] as const;

/** Reads counters from STATS64, whose fields are eight bytes, or STATS, where some are four. */
export function decodeStats(a: Attributes | undefined): IpvsStats {
  const stats = {} as Record<typeof FIELDS[number], number>;
  FIELDS.forEach((field, index) => {
    const type = index + 1;
    const wide = a?.at(type, 8) ?? -1;
    stats[field] = wide >= 0 ? Number(a!.view.getBigUint64(wide, true)) : a?.u32(type) ?? 0;
  });
  return stats;
}
