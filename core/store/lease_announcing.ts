/**
 * What a host says when its store was adopted: that it holds a subnet, whatever the store remembers of it.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { isLeasable, isUntaken } from "../cluster/allocate.ts";
import { prefixesOverlap } from "../base/address.ts";
import { buryLease, liveLeases, putLease } from "./leases.ts";
import { raiseRevision } from "./revision.ts";
import type { Announcement } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** Whether one living lease goes before another: the older acquisition. */
function precedes(one: Lease, other: Lease): boolean {
  return one.acquired !== other.acquired
    ? one.acquired < other.acquired
    : one.nodeId < other.nodeId;
}

/**
 * See `Store.announceLease`. An adoption lets all leases expire: one that has not expired was announced as well, or given since.
 *
 * @param own As the host holds it in its kernel.
 */
export async function announceLease(
  tx: Transaction,
  config: ClusterConfig,
  own: Lease,
): Promise<Announcement> {
  if (!own.reserved && !isLeasable(config, own.subnet)) return { state: "lost" };
  const { leases, unreadable } = await liveLeases(tx, config, own.family);
  const beside = leases.filter((lease) =>
    lease.nodeId !== own.nodeId && prefixesOverlap(lease.subnet, own.subnet)
  );
  const older = beside.find((lease) =>
    !isUntaken(lease) && lease.expires > tx.now && precedes(lease, own)
  );
  if (older !== undefined) return { state: "lost", to: older };
  // A row that cannot be read may be a newer knet's; this host's own is written over.
  const hidden = unreadable.some((row) => row.nodeId !== own.nodeId && row.subnet === own.subnet);
  if (hidden) return { state: "lost" };
  const revision = await raiseRevision(tx);
  for (const lease of beside) await buryLease(tx, lease, revision);
  const before = leases.find((lease) => lease.nodeId === own.nodeId);
  const renewed = Math.max(tx.now, before?.renewed ?? 0);
  const lease: Lease = {
    ...own,
    renewed,
    expires: renewed + config.leaseTtl * 1000,
    revision,
  };
  await putLease(tx, lease);
  return { state: "held", lease };
}
