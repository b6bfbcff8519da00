/**
 * How hosts of the model come to their leases, and keep them.
 *
 * @module
 */
import type { ClusterConfig } from "../../../core/cluster/config.ts";
import type { Lease } from "../../../core/cluster/lease.ts";
import { markOf, settlingFor } from "../../../core/store/identity.ts";
import {
  decideAnnouncement,
  decideGrant,
  decideRenewal,
} from "../../../core/store/lease_decisions.ts";
import type {
  Announcement,
  LeaseGrant,
  LeaseHolder,
  LeaseRequest,
  Renewal,
} from "../../../core/store/store.ts";
import { whyNoHostIn } from "./services.ts";
import type { ModelTables } from "./tables.ts";

/** See `acquireLease` of `lease_holding.ts`. */
export function acquire(
  tables: ModelTables,
  config: ClusterConfig,
  request: LeaseRequest,
  now: number,
): LeaseGrant {
  const settling = settlingFor(tables.counter, now);
  tables.identify();
  const leases = tables.living(request.family);
  const own = tables.leaseOf(request);
  const unfit = own?.publicIp === request.publicIp
    ? undefined
    : whyNoHostIn(tables, request.publicIp);
  const standing = { config, leases, unreadable: [], now };
  const granted = decideGrant(standing, request, settling, unfit, false);
  const { how, news, replaces, rival } = granted;
  const revision = news ? tables.raise() : tables.counter("revision");
  const lease = news ? { ...granted.lease, revision } : granted.lease;
  if (replaces !== undefined) tables.bury(replaces, revision, now);
  tables.put(lease);
  const { identity, epoch } = markOf(tables.counter);
  return { ...{ lease, how, revision, store: { identity, epoch } }, ...(rival && { rival }) };
}

/** See `renewLease` of `lease_holding.ts`. */
export function renew(
  tables: ModelTables,
  config: ClusterConfig,
  holder: LeaseHolder,
  now: number,
): Renewal {
  const leases = tables.living(holder.family);
  const decision = decideRenewal(tables.leaseOf(holder), leases, { config, now }, holder);
  if (!("news" in decision)) return decision.renewal;
  const { renewal, news } = decision;
  const lease = news ? { ...renewal.lease, revision: tables.raise() } : renewal.lease;
  tables.put(lease);
  return { ...renewal, lease };
}

/** See `announceLease` of `lease_announcing.ts`. */
export function announce(
  tables: ModelTables,
  config: ClusterConfig,
  own: Lease,
  now: number,
): Announcement {
  const leases = tables.living(own.family);
  const decision = decideAnnouncement({ config, leases, unreadable: [], now }, own);
  if (decision.state === "lost") return decision;
  const revision = tables.raise();
  for (const lease of decision.buried) tables.bury(lease, revision, now);
  const lease = { ...decision.lease, revision };
  tables.put(lease);
  return { state: "held", lease };
}
