/**
 * How leases look: as a table, one in full, and as JSON; and which one is meant.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import type { Lease } from "../core/cluster/lease.ts";
import { pairs, relative, table, timestamp } from "./output.ts";
import type { Cell } from "./output.ts";

/** What a lease is at a certain moment. */
export type LeaseStanding = "living" | "expired" | "reserved";

/** Judges a lease: one that was reserved and taken lives or has expired by its renewals, like any other. */
export function standing(lease: Lease, now: number): LeaseStanding {
  if (lease.reserved && lease.agentId === "") return "reserved";
  return lease.expires > now ? "living" : "expired";
}

/** A lease as a stable JSON document. Times are milliseconds since the epoch, as everywhere in JSON. */
export function leaseDocument(lease: Lease, now: number): Record<string, unknown> {
  const taken = lease.agentId !== "";
  return {
    nodeId: lease.nodeId,
    nodeName: lease.nodeName,
    family: lease.family,
    subnet: lease.subnet,
    publicIp: lease.publicIp,
    backend: lease.backend,
    backendData: lease.backendData,
    state: standing(lease, now),
    reserved: lease.reserved,
    acquired: taken ? lease.acquired : null,
    renewed: taken ? lease.renewed : null,
    expires: lease.reserved ? null : lease.expires,
    bootId: lease.bootId,
    agentId: lease.agentId,
    revision: lease.revision,
  };
}

function standingCell(lease: Lease, now: number): Cell {
  const state = standing(lease, now);
  if (state === "expired") return { text: state, tone: "warn" };
  return state === "living" ? { text: state, tone: "good" } : state;
}

function expiry(lease: Lease, now: number): string {
  return lease.reserved ? "never" : relative(lease.expires, now);
}

/** All leases as a table. */
export function leaseTable(leases: readonly Lease[], now: number): string {
  return table(
    ["node", "subnet", "public ip", "backend", "state", "renewed", "expires"],
    leases.map((lease) => [
      lease.nodeName,
      lease.subnet,
      lease.publicIp,
      lease.agentId === "" ? "" : lease.backend,
      standingCell(lease, now),
      lease.agentId === "" ? "" : relative(lease.renewed, now),
      expiry(lease, now),
    ]),
  );
}

/** One lease in full. */
export function leasePairs(lease: Lease, now: number): string {
  const taken = lease.agentId !== "";
  const moment = (at: number) => `${timestamp(at)} (${relative(at, now)})`;
  return pairs([
    ["node", lease.nodeName],
    ["node id", lease.nodeId],
    ["subnet", lease.subnet],
    ["public ip", lease.publicIp],
    ["backend", taken ? lease.backend : undefined],
    ["VTEP MAC", lease.backendData.mac],
    ["VNI", lease.backendData.vni?.toString()],
    ["state", standing(lease, now)],
    ["reserved", lease.reserved ? "yes" : "no"],
    ["acquired", taken ? moment(lease.acquired) : undefined],
    ["renewed", taken ? moment(lease.renewed) : undefined],
    ["expires", lease.reserved ? "never" : moment(lease.expires)],
    ["boot id", lease.bootId],
    ["agent id", lease.agentId],
    ["revision", String(lease.revision)],
  ]);
}

/**
 * The lease of a host.
 *
 * @param action For the message: `Cannot show the lease of "x"`.
 * @param selector Node id, subnet or name.
 * @throws {KnetError} exit code 4 if there is none, or if several hosts have that name.
 */
export function selectLease(action: string, leases: readonly Lease[], selector: string): Lease {
  const found = leases.filter(({ nodeId, subnet }) => nodeId === selector || subnet === selector);
  const matches = found.length > 0 ? found : leases.filter(({ nodeName }) => nodeName === selector);
  const [lease] = matches;
  if (lease === undefined) {
    throw new KnetError(`${action}: there is none`, {
      exitCode: 4,
      remedy: 'Run "knet lease ls" to see all',
    });
  }
  if (matches.length > 1) {
    throw new KnetError(`${action}: ${matches.length} hosts have that name`, {
      exitCode: 4,
      remedy: `Name it by its id: ${matches.map(({ nodeId }) => nodeId).join(", ")}`,
    });
  }
  return lease;
}
