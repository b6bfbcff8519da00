/**
 * What a host says when its store was adopted: that it holds a subnet, whatever the store remembers of it.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { decideAnnouncement } from "./lease_decisions.ts";
import { buryLease, liveLeases, putLease } from "./leases.ts";
import { raiseRevision } from "./revision.ts";
import type { Announcement } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/**
 * See `Store.announceLease`.
 *
 * @param own As the host holds it in its kernel.
 */
export async function announceLease(
  tx: Transaction,
  config: ClusterConfig,
  own: Lease,
): Promise<Announcement> {
  const found = await liveLeases(tx, config, own.family);
  const decision = decideAnnouncement({ ...found, config, now: tx.now }, own);
  if (decision.state === "lost") return decision;
  const revision = await raiseRevision(tx);
  for (const lease of decision.buried) await buryLease(tx, lease, revision);
  const lease: Lease = { ...decision.lease, revision };
  await putLease(tx, lease);
  return { state: "held", lease };
}
