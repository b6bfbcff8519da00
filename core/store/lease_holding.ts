/**
 * How a node comes to its lease and keeps it.
 *
 * @module
 */
import { and, eq } from "drizzle-orm";
import { isSettled } from "../cluster/allocate.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { leaseRules } from "../cluster/lease_rules.ts";
import { decideGrant, decideRenewal } from "./lease_decisions.ts";
import { LEASE_COLUMNS, leaseOf } from "./lease_rows.ts";
import { buryLease, liveLeases, putLease } from "./leases.ts";
import { ensureIdentity, markOf, settlingFor } from "./identity.ts";
import { raiseRevision, readRevision } from "./revision.ts";
import { leaseTable } from "./schema.ts";
import { whyNoHost } from "./services.ts";
import type { LeaseGrant, LeaseHolder, LeaseRequest, Renewal } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/**
 * See `Store.acquireLease`.
 *
 * @param hostClock Whether `tx.now` is this host's own clock.
 */
export async function acquireLease(
  tx: Transaction,
  config: ClusterConfig,
  request: LeaseRequest,
  hostClock: boolean,
): Promise<LeaseGrant> {
  const { now } = tx;
  const counter = await ensureIdentity(tx);
  const settling = settlingFor(counter, now);
  const found = await liveLeases(tx, config, request.family);
  const own = found.leases.find(({ nodeId }) => nodeId === request.nodeId);
  // A host that is there already keeps what it has: to refuse it would take the lease from under its containers.
  const unfit = own?.publicIp === request.publicIp
    ? undefined
    : await whyNoHost(tx, request.publicIp);
  const granted = decideGrant({ ...found, config, now }, request, settling, unfit, hostClock);
  const { how, news, rival, replaces } = granted;
  const revision = news ? await raiseRevision(tx) : await readRevision(tx);
  const lease: Lease = news ? { ...granted.lease, revision } : granted.lease;
  if (replaces !== undefined) await buryLease(tx, replaces, revision);
  await putLease(tx, lease);
  const { identity, epoch } = markOf(counter);
  return { lease, how, revision, ...(rival && { rival }), store: { identity, epoch } };
}

/** See `Store.renewLease`. */
export async function renewLease(
  tx: Transaction,
  config: ClusterConfig,
  holder: LeaseHolder,
): Promise<Renewal> {
  const [row] = await tx.db.select(LEASE_COLUMNS).from(leaseTable).where(
    and(
      eq(leaseTable.deleted, 0),
      eq(leaseTable.nodeId, holder.nodeId),
      eq(leaseTable.family, holder.family),
    ),
  );
  // One that cannot be read is as good as none: the node takes a lease anew, over this row.
  const read = row && leaseOf(row).value;
  const own = read === undefined || leaseRules(config)(read) !== undefined ? undefined : read;
  const { leases } = own === undefined || isSettled(own, holder.publicIp)
    ? { leases: [] }
    : await liveLeases(tx, config, holder.family);
  const decision = decideRenewal(own, leases, { config, now: tx.now }, holder);
  if (!("news" in decision)) return decision.renewal;
  const { renewal, news } = decision;
  const lease = news ? { ...renewal.lease, revision: await raiseRevision(tx) } : renewal.lease;
  await putLease(tx, lease);
  return { ...renewal, lease };
}
