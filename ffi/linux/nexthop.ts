/**
 * Constants of linux/nexthop.h.
 *
 * @module
 */

/** Bytes of struct nhmsg. */
export const NHMSG = 8;

// Attributes of a next hop.
export const NHA_ID = 1;
export const NHA_GROUP = 2;
export const NHA_BLACKHOLE = 4;
export const NHA_OIF = 5;
export const NHA_GATEWAY = 6;
