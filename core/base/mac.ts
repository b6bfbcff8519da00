/**
 * MAC addresses that follow from who the node is, so that a rebooted host is the same peer as before.
 *
 * @module
 */
import { createHash } from "node:crypto";

/**
 * A locally administered unicast MAC address.
 *
 * @param purpose Parts that tell this address from others: a use, the node id, the VNI, a counter.
 * @returns Six bytes as `92:8d:c4:85:16:ad`, always the same for the same parts.
 */
export function deriveMac(...purpose: readonly (string | number)[]): string {
  const bytes = createHash("sha256").update(["knet-mac", ...purpose].join("\0")).digest().subarray(
    0,
    6,
  );
  // IEEE 802: bit 1 of the first octet says "locally administered", bit 0 "multicast".
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
