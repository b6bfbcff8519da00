/**
 * Constants of linux/if.h.
 *
 * @module
 */

/** Room for the name of a link, its closing zero included. */
export const IFNAMSIZ = 16;
/** The administrator wants it up. */
export const IFF_UP = 0x1;
/** It leads back to this host: `lo`. */
export const IFF_LOOPBACK = 0x8;
/** There is a carrier. */
export const IFF_LOWER_UP = 0x10000;
/** Bytes of struct ifreq, on 64-bit targets. */
export const IFREQ = 40;
