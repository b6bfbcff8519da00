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
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inBytes: number;
  readonly outBytes: number;
  /** Rates a second, over the last few. */
  readonly connectionRate: number;
  readonly inPacketRate: number;
  readonly outPacketRate: number;
  readonly inByteRate: number;
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
