/**
 * What comes of a host that asks for a lease, renews it or announces it: rows in, a decision out. Pure, so that whatever keeps rows
 * decides alike.
 *
 * @module
 */
import { prefixesOverlap } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import {
  allocate,
  clockIsSuspect,
  isClones,
  isLeasable,
  isQuestion,
  isUntaken,
  questionOf,
  refusalBy,
  rivalFor,
} from "../cluster/allocate.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { BackendData, Lease } from "../cluster/lease.ts";
import { whyNoPublicIp } from "../cluster/lease_rules.ts";
import { SettlingStoreError } from "./identity.ts";
import { refuseUnfit } from "./leases.ts";
import type { LeaseGrant, LeaseHolder, LeaseRequest, Renewal } from "./store.ts";

/** What stands in the store when a host asks. */
export interface Standing {
  readonly config: ClusterConfig;
  /** Leases that can be used, of the host's family. */
  readonly leases: readonly Lease[];
  /** What is left of rows that cannot be used: nobody else gets that subnet. */
  readonly unreadable: readonly { readonly nodeId: string; readonly subnet: string }[];
  /** Store's clock, milliseconds since the epoch. */
  readonly now: number;
}

/** What is to be written for a host that asked. */
export interface Granted {
  /** Its revision is that of the row before, and becomes the store's where it is to be raised. */
  readonly lease: Lease;
  readonly how: LeaseGrant["how"];
  /** Whether others are to learn of it: the store's revision is raised. */
  readonly news: boolean;
  /** See {@linkcode LeaseGrant}. */
  readonly rival?: Lease;
  /** Row that has to go. */
  readonly replaces?: Lease;
}

/** The first of a request's backend data whose MAC no other node has. */
function backendDataBeside(request: LeaseRequest, others: readonly Lease[]): BackendData {
  const taken = new Set(others.map(({ backendData }) => backendData.mac));
  for (let attempt = 0;; attempt++) {
    const data = request.backendData(attempt);
    if (data.mac === undefined || !taken.has(data.mac)) return data;
  }
}

/** A host's data, which says that it has left the address of its lease, or does not. */
function dataOf({ wants: _, ...data }: BackendData, wants: string | undefined): BackendData {
  return { ...data, ...(wants !== undefined && { wants }) };
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
 * @param settling For how long hosts announce what they hold, milliseconds.
 * @param whyNoHost Why no host can be at the address that is asked for.
 * @param hostClock Whether `now` is this host's own clock.
 * @throws {KnetError} exit code 4; SettlingStoreError.
 */
export function decideGrant(
  { config, leases, unreadable, now }: Standing,
  request: LeaseRequest,
  settling: number,
  whyNoHost: string | undefined,
  hostClock: boolean,
): Granted {
  const { nodeId, family } = request;
  const own = leases.find((lease) => lease.nodeId === nodeId);
  if (own === undefined && settling > 0) {
    throw new SettlingStoreError(
      `Cannot lease a subnet: the store was adopted, and hosts have ${
        Math.ceil(settling / 1000)
      } s more to announce what they hold`,
    );
  }
  if (whyNoHost !== undefined) {
    throw new KnetError(
      `Cannot join as "${request.nodeName}" (${request.publicIp}): ${whyNoHost}`,
      {
        exitCode: 4,
        remedy:
          "Give the host another address (--iface or --public-ip), or the service (knet svc set NAME --vip)",
      },
    );
  }
  const rival = rivalFor(leases, own, request, now);
  // A host that comes back to another's address keeps what it has: the other one may be about to leave it for this one's.
  const comesBack = own !== undefined && own.agentId === request.agentId;
  if (rival !== undefined && !comesBack) throw refusalBy(rival, request);
  if (
    request.asked !== undefined && own !== undefined && own.agentId === request.agentId &&
    own.expires > now &&
    (isQuestion(own) || isClones(own, { bootId: request.bootId, publicIps: [request.publicIp] }))
  ) {
    const question = questionOf(request.bootId);
    if (!request.asked) return { lease: { ...own, bootId: question }, how: "asked", news: true };
    if (own.bootId !== question) throw copied(request, own);
  }
  const mayReassign = !(hostClock && clockIsSuspect(config, leases, nodeId, now));
  // A row of its own that makes no sense is written over, and does not stand in the way.
  const taken = unreadable.filter((row) => row.nodeId !== nodeId).map(({ subnet }) => subnet);
  const found = allocate(config, leases, request, now, mayReassign, taken);
  const others = leases.filter((lease) => lease !== own && lease !== found.replaces);
  const wants = rival && request.publicIp;
  const backendData = dataOf(backendDataBeside(request, others), wants);
  const renewed = Math.max(now, own?.renewed ?? 0);
  const lease: Lease = {
    nodeId,
    family,
    nodeName: request.nodeName,
    subnet: found.subnet,
    publicIp: wants === undefined ? request.publicIp : own!.publicIp,
    backend: request.backend,
    backendData,
    bootId: request.bootId,
    agentId: request.agentId,
    acquired: own?.subnet === found.subnet ? own.acquired : now,
    renewed,
    expires: renewed + config.leaseTtl * 1000,
    reserved: found.reserved,
    revision: own?.revision ?? 0,
  };
  const same = own !== undefined &&
    (["nodeName", "subnet", "publicIp", "bootId", "agentId"] as const)
      .every((field) => own[field] === lease[field]) &&
    sameData(own.backendData, backendData);
  refuseUnfit(`Cannot join as "${request.nodeName}" (${request.publicIp})`, lease, config);
  return {
    ...{ lease, how: found.how, news: !same },
    ...(rival && { rival }),
    ...(found.replaces && { replaces: found.replaces }),
  };
}

/** What is to be written for a host that renewed; `news` as in {@linkcode Granted}. */
export type Renewed =
  | { readonly renewal: Extract<Renewal, { state: "renewed" }>; readonly news: boolean }
  | { readonly renewal: Exclude<Renewal, { state: "renewed" }> };

/**
 * See `Store.renewLease`.
 *
 * @param own The lease that the row of this node holds; undefined if there is none that can be used.
 * @param leases All of the family; they are asked for only if the holder has another address.
 */
export function decideRenewal(
  own: Lease | undefined,
  leases: readonly Lease[],
  { config, now }: Pick<Standing, "config" | "now">,
  holder: LeaseHolder,
): Renewed {
  if (own === undefined) return { renewal: { state: "lost" } };
  if (own.agentId !== holder.agentId) return { renewal: { state: "taken-over", by: own } };
  if (own.subnet !== holder.subnet) return { renewal: { state: "lost" } };
  if (isClones(own, { ...holder, publicIps: holder.heldIps ?? [own.publicIp] })) {
    return { renewal: { state: "taken-over", by: own } };
  }
  const rival = rivalFor(leases, own, holder, now);
  // An address that peers would leave out: they go on with the one that they have.
  const unfit = whyNoPublicIp(holder.publicIp, config);
  const stays = rival !== undefined || unfit !== undefined;
  const { publicIp } = stays ? own : holder;
  const wants = stays ? holder.publicIp : undefined;
  const backendData = dataOf(holder.backendData, wants);
  const bootId = holder.bootId ?? own.bootId;
  const renewed = Math.max(now, own.renewed);
  const same = own.nodeName === holder.nodeName && own.publicIp === publicIp &&
    own.bootId === bootId && sameData(own.backendData, backendData);
  const lease: Lease = {
    ...own,
    nodeName: holder.nodeName,
    publicIp,
    bootId,
    backendData,
    renewed,
    expires: renewed + config.leaseTtl * 1000,
  };
  return {
    renewal: {
      ...{ state: "renewed", lease },
      ...(rival !== undefined && { rival }),
      ...(unfit !== undefined && { unfit }),
    },
    news: !same,
  };
}

/** Whether one living lease goes before another: the older acquisition. */
function precedes(one: Lease, other: Lease): boolean {
  return one.acquired !== other.acquired
    ? one.acquired < other.acquired
    : one.nodeId < other.nodeId;
}

/** What is to be written for a host that announced what it holds. */
export type Announced =
  | { readonly state: "held"; readonly lease: Lease; readonly buried: readonly Lease[] }
  | { readonly state: "lost"; readonly to?: Lease };

/**
 * See `Store.announceLease`. An adoption lets all leases expire: one that has not expired was announced as well, or given since.
 *
 * @param own As the host holds it in its kernel.
 */
export function decideAnnouncement(
  { config, leases, unreadable, now }: Standing,
  own: Lease,
): Announced {
  if (!own.reserved && !isLeasable(config, own.subnet)) return { state: "lost" };
  const beside = leases.filter((lease) =>
    lease.nodeId !== own.nodeId && prefixesOverlap(lease.subnet, own.subnet)
  );
  const older = beside.find((lease) =>
    !isUntaken(lease) && lease.expires > now && precedes(lease, own)
  );
  if (older !== undefined) return { state: "lost", to: older };
  // A row that cannot be read may be a newer knet's; this host's own is written over.
  const hidden = unreadable.some((row) => row.nodeId !== own.nodeId && row.subnet === own.subnet);
  if (hidden) return { state: "lost" };
  const before = leases.find((lease) => lease.nodeId === own.nodeId);
  const renewed = Math.max(now, before?.renewed ?? 0);
  const lease = { ...own, renewed, expires: renewed + config.leaseTtl * 1000 };
  return { state: "held", lease, buried: beside };
}
