/**
 * Leases that no two hosts may have alike, and have: somebody wrote them past knet, or an older knet did. Pure.
 *
 * @module
 */
import { visibleName } from "../base/visible.ts";
import { hasMovedOn, isUntaken } from "./allocate.ts";
import type { Lease } from "./lease.ts";

/** So many are named. */
const MOST = 10;

/** What of a lease there may be once, and what to do where there are two. */
const ONCE: readonly {
  readonly what: string;
  readonly of: (lease: Lease) => string | undefined;
  /** Of a host that is gone for good, nobody minds. */
  readonly livingOnly: boolean;
  readonly remedy: string;
}[] = [
  {
    what: "public IP",
    of: (lease) => hasMovedOn(lease) ? undefined : lease.publicIp,
    livingOnly: true,
    remedy:
      "packets to one reach the other; give one another address (--iface or --public-ip), or release the lease of the one that is gone (knet lease release)",
  },
  {
    what: "VTEP MAC address",
    of: ({ backendData }) => backendData.mac,
    livingOnly: false,
    remedy: "peers reach the older one alone; release the lease that is wrong (knet lease release)",
  },
  {
    what: "subnet",
    of: ({ subnet }) => subnet,
    livingOnly: false,
    remedy: "peers reach the older one alone; release the lease that is wrong (knet lease release)",
  },
];

const nameOf = ({ nodeName, nodeId, subnet }: Lease) =>
  `"${visibleName(nodeName === "" ? nodeId : nodeName)}" (${subnet})`;

/**
 * Sentences about leases that have alike what only one may have.
 *
 * @param now Milliseconds since the epoch.
 */
export function doubledLeases(leases: readonly Lease[], now: number): string[] {
  const found: string[] = [];
  for (const { what, of, livingOnly, remedy } of ONCE) {
    const holders = new Map<string, Lease>();
    for (const lease of leases) {
      const value = of(lease);
      if (value === undefined || (livingOnly && (isUntaken(lease) || lease.expires <= now))) {
        continue;
      }
      const other = holders.get(value);
      if (other === undefined) holders.set(value, lease);
      else {
        found.push(
          `Hosts ${nameOf(other)} and ${nameOf(lease)} have one ${what}, ${value}: ${remedy}`,
        );
      }
    }
  }
  const more = found.length - MOST;
  return more > 0 ? [...found.slice(0, MOST), `${more} more leases are double`] : found;
}
