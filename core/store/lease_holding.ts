/**
 * How a node comes to its lease and keeps it.
 *
 * @module
 */
import { and, eq } from "drizzle-orm";
import { KnetError } from "../base/error.ts";
import {
  allocate,
  clockIsSuspect,
  isClones,
  isQuestion,
  questionOf,
  refuseRival,
  rivalFor,
} from "../cluster/allocate.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { BackendData, Lease } from "../cluster/lease.ts";
import { leaseRules, whyNoPublicIp } from "../cluster/lease_rules.ts";
import { LEASE_COLUMNS, leaseOf } from "./lease_rows.ts";
import { buryLease, liveLeases, putLease, refuseUnfit } from "./leases.ts";
import { ensureIdentity, settlingFor, SettlingStoreError } from "./identity.ts";
import { raiseRevision, readRevision } from "./revision.ts";
import { leaseTable } from "./schema.ts";
import { whyNoHost } from "./services.ts";
import type { LeaseGrant, LeaseHolder, LeaseRequest, Renewal } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** The first of a request's backend data whose MAC no other node has. */
function backendDataBeside(request: LeaseRequest, others: readonly Lease[]): BackendData {
  const taken = new Set(others.map(({ backendData }) => backendData.mac));
  for (let attempt = 0;; attempt++) {
    const data = request.backendData(attempt);
    if (data.mac === undefined || !taken.has(data.mac)) return data;
  }
}

function sameData(a: BackendData, b: BackendData): boolean {
  const text = (data: BackendData) => JSON.stringify(Object.entries(data).sort());
  return text(a) === text(b);
}

/** The holder of the row lives and has answered. */
function copied(request: LeaseRequest, own: Lease): KnetError {
  return new KnetError(
    `Cannot join as "${request.nodeName}" (${request.publicIp}): "${own.nodeName}" at ${own.publicIp} runs with the same node id ${own.nodeId} and the same data directory`,
    {
      exitCode: 4,
      remedy:
        "One is a copy of the other: on this one, empty the data directory and give it another --node-id (or another /etc/machine-id)",
    },
  );
}

/**
 * See `Store.acquireLease`. A living lease that this agent held on another boot or at another address is not taken at once: its row
 * is made a question, which a holder that lives answers by writing its own boot id again. Nobody else looks at the boot id.
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
  const { nodeId, family } = request;
  const settling = settlingFor(await ensureIdentity(tx), now);
  const { leases, unreadable } = await liveLeases(tx, config, family);
  const own = leases.find((lease) => lease.nodeId === nodeId);
  if (own === undefined && settling > 0) {
    throw new SettlingStoreError(
      `Cannot lease a subnet: the store was adopted, and hosts have ${
        Math.ceil(settling / 1000)
      } s more to announce what they hold`,
    );
  }
  // A host that is there already keeps what it has: to refuse it would take the lease from under its containers.
  const unfit = own?.publicIp === request.publicIp
    ? undefined
    : await whyNoHost(tx, request.publicIp);
  if (unfit !== undefined) {
    throw new KnetError(`Cannot join as "${request.nodeName}" (${request.publicIp}): ${unfit}`, {
      exitCode: 4,
      remedy:
        "Give the host another address (--iface or --public-ip), or the service (knet svc set NAME --vip)",
    });
  }
  refuseRival(leases, request, now);
  if (
    request.asked !== undefined && own !== undefined && own.agentId === request.agentId &&
    own.expires > now &&
    (isQuestion(own) || isClones(own, { bootId: request.bootId, publicIps: [request.publicIp] }))
  ) {
    const question = questionOf(request.bootId);
    if (!request.asked) {
      const revision = await raiseRevision(tx);
      const lease: Lease = { ...own, bootId: question, revision };
      await putLease(tx, lease);
      return { lease, how: "asked", revision };
    }
    if (own.bootId !== question) throw copied(request, own);
  }
  const mayReassign = !(hostClock && clockIsSuspect(config, leases, nodeId, now));
  // A row of its own that makes no sense is written over, and does not stand in the way.
  const taken = unreadable.filter((row) => row.nodeId !== nodeId).map(({ subnet }) => subnet);
  const found = allocate(config, leases, request, now, mayReassign, taken);
  const others = leases.filter((lease) => lease !== own && lease !== found.replaces);
  const backendData = backendDataBeside(request, others);
  const renewed = Math.max(now, own?.renewed ?? 0);
  const lease = {
    nodeId,
    family,
    nodeName: request.nodeName,
    subnet: found.subnet,
    publicIp: request.publicIp,
    backend: request.backend,
    backendData,
    bootId: request.bootId,
    agentId: request.agentId,
    acquired: own?.subnet === found.subnet ? own.acquired : now,
    renewed,
    expires: renewed + config.leaseTtl * 1000,
    reserved: found.reserved,
  };
  const same = own !== undefined &&
    (["nodeName", "subnet", "publicIp", "bootId", "agentId"] as const)
      .every((field) => own[field] === lease[field]) &&
    sameData(own.backendData, backendData);
  const revision = same ? await readRevision(tx) : await raiseRevision(tx);
  const whole: Lease = { ...lease, revision: same ? own.revision : revision };
  refuseUnfit(`Cannot join as "${request.nodeName}" (${request.publicIp})`, whole, config);
  if (found.replaces !== undefined) await buryLease(tx, found.replaces, revision);
  await putLease(tx, whole);
  return { lease: whole, how: found.how, revision };
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
  const own = row && leaseOf(row).value;
  if (own === undefined || leaseRules(config)(own) !== undefined) return { state: "lost" };
  if (own.agentId !== holder.agentId) return { state: "taken-over", by: own };
  if (own.subnet !== holder.subnet) return { state: "lost" };
  if (isClones(own, { ...holder, publicIps: holder.heldIps ?? [own.publicIp] })) {
    return { state: "taken-over", by: own };
  }
  const rival = own.publicIp === holder.publicIp ? undefined : rivalFor(
    (await liveLeases(tx, config, holder.family)).leases,
    holder.nodeId,
    holder.publicIp,
    tx.now,
  );
  // An address that peers would leave out: they go on with the one that they have.
  const unfit = whyNoPublicIp(holder.publicIp, config);
  const publicIp = rival === undefined && unfit === undefined ? holder.publicIp : own.publicIp;
  const bootId = holder.bootId ?? own.bootId;
  const renewed = Math.max(tx.now, own.renewed);
  const same = own.nodeName === holder.nodeName && own.publicIp === publicIp &&
    own.bootId === bootId && sameData(own.backendData, holder.backendData);
  const lease: Lease = {
    ...own,
    nodeName: holder.nodeName,
    publicIp,
    bootId,
    backendData: holder.backendData,
    renewed,
    expires: renewed + config.leaseTtl * 1000,
    revision: same ? own.revision : await raiseRevision(tx),
  };
  await putLease(tx, lease);
  return {
    state: "renewed",
    lease,
    ...(rival !== undefined && { rival }),
    ...(unfit !== undefined && { unfit }),
  };
}
