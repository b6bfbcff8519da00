/**
 * Which subnet a joining node gets. Pure: rows in, a decision out.
 *
 * @module
 */
import { addressBits, addressToNumber, numberToAddress, parsePrefix } from "../base/address.ts";
import type { ClusterConfig } from "./config.ts";
import { KnetError } from "../base/error.ts";
import type { Lease } from "./lease.ts";

/** Who asks. */
export interface Applicant {
  readonly nodeId: string;
  readonly nodeName: string;
  readonly publicIp: string;
  readonly agentId: string;
  readonly previousSubnet?: string;
}

/** What the applicant gets. */
export interface Allocation {
  readonly subnet: string;
  readonly how: "new" | "kept" | "reserved" | "reassigned";
  readonly reserved: boolean;
  /** Row that has to go: a reservation that was taken, or the old owner of a reassigned subnet. */
  readonly replaces?: Lease;
}

/** Whether a lease is a reservation that no node has taken yet. */
export function isUntaken(lease: Lease): boolean {
  return lease.reserved && lease.agentId === "";
}

/** Whether a lease is past its life. */
export function isExpired(lease: Lease, now: number): boolean {
  return !lease.reserved && lease.expires <= now;
}

/**
 * Whether this host's clock cannot be trusted to judge others, by the newest renewal of another node: it lies more than half of the
 * TTL back, the longest that a living node lets pass, or more than a quarter ahead. Only for stores without a clock of their own.
 */
export function clockIsSuspect(
  config: ClusterConfig,
  leases: readonly Lease[],
  nodeId: string | undefined,
  now: number,
): boolean {
  let newest = -Infinity;
  for (const lease of leases) {
    if (lease.nodeId !== nodeId && !isUntaken(lease)) newest = Math.max(newest, lease.renewed);
  }
  const ttl = config.leaseTtl * 1000;
  return newest > -Infinity && (now - newest > ttl / 2 || newest - now > ttl / 4);
}

/** What precedes the boot id in a row whose holder is asked whether it lives. */
const QUESTION = "ask:";

/** The boot id of a row that asks its holder to write its own again. */
export function questionOf(bootId: string): string {
  return QUESTION + bootId;
}

/** Whether a row asks its holder to answer. */
export function isQuestion(lease: Pick<Lease, "bootId">): boolean {
  return lease.bootId.startsWith(QUESTION);
}

/**
 * Whether a row of this agent id is somebody else's all the same: a copy of the host, data directory included, has its node id and
 * agent id, but not its boot or not its address. A host that was booted again looks the same, so it is asked for.
 *
 * @param mine Boot id of who looks, and the public addresses that it has, or had in what it may have written without hearing of it.
 */
export function isClones(
  row: Pick<Lease, "bootId" | "publicIp">,
  mine: { readonly bootId?: string; readonly publicIps: readonly string[] },
): boolean {
  return !mine.publicIps.includes(row.publicIp) ||
    (mine.bootId !== undefined && row.bootId !== mine.bootId && !isQuestion(row));
}

/** Whether a host goes by the address of its lease, and nobody else did when it came to it. */
export function isSettled({ publicIp, backendData }: Lease, address: string): boolean {
  return publicIp === address && backendData.wants === undefined;
}

/** Whether a host has said that it goes by another address than its lease has, and could not be given that one yet. */
export function hasMovedOn({ publicIp, backendData: { wants } }: Lease): boolean {
  return wants !== undefined && wants !== publicIp;
}

/**
 * The other living node that has the public address that a node wants, and still goes by it: two would answer each other's packets.
 *
 * @param own The node's lease: the address that it has, and never left, is its own.
 */
export function rivalFor(
  leases: readonly Lease[],
  own: Lease | undefined,
  { nodeId, publicIp }: Pick<Lease, "nodeId" | "publicIp">,
  now: number,
): Lease | undefined {
  if (own !== undefined && isSettled(own, publicIp)) return undefined;
  return leases.find((lease) =>
    lease.nodeId !== nodeId && lease.publicIp === publicIp && !isUntaken(lease) &&
    lease.expires > now && !hasMovedOn(lease)
  );
}

/** The error of who wants a public address that another living host has. */
export function refusalBy(rival: Lease, { nodeName, publicIp }: Applicant): KnetError {
  return new KnetError(
    `Cannot join as "${nodeName}" (${publicIp}): "${rival.nodeName}" (node id ${rival.nodeId}, ${rival.subnet}) has this public address`,
    {
      exitCode: 4,
      remedy:
        `Give each host an address that the others reach it by (--iface or --public-ip); if this is the same host, installed anew, run knet lease release ${rival.subnet} --force`,
    },
  );
}

/** Number of subnets that can be leased. */
export function subnetCount(config: ClusterConfig): bigint {
  return ((addressToNumber(config.subnetMax) - addressToNumber(config.subnetMin)) >>
    BigInt(addressBits(parsePrefix(config.network).family) - config.subnetLen)) + 1n;
}

/** Whether a subnet is one that this configuration leases. */
export function isLeasable(config: ClusterConfig, subnet: string): boolean {
  const { address, length } = parsePrefix(subnet);
  const number = addressToNumber(address);
  return length === config.subnetLen && number >= addressToNumber(config.subnetMin) &&
    number <= addressToNumber(config.subnetMax);
}

/**
 * Decides: the node's old subnet, else its reservation, else the one it remembers, else the first free one, else that of the lease
 * that expired longest ago.
 *
 * @param leases All live rows of the family.
 * @param mayReassign False where the clock is suspect.
 * @param unreadable Subnets of rows that could not be read: taken, by nobody knows whom.
 * @throws {KnetError} exit code 4: all taken, or another living agent has this node id.
 */
export function allocate(
  config: ClusterConfig,
  leases: readonly Lease[],
  applicant: Applicant,
  now: number,
  mayReassign: boolean,
  unreadable: readonly string[] = [],
): Allocation {
  const own = leases.find((lease) => lease.nodeId === applicant.nodeId);
  if (
    own !== undefined && own.agentId !== "" && own.agentId !== applicant.agentId &&
    own.publicIp !== applicant.publicIp && !isExpired(own, now)
  ) {
    throw new KnetError(
      `Cannot join as "${applicant.nodeName}" (${applicant.publicIp}): node id ${applicant.nodeId} is held by "${own.nodeName}" at ${own.publicIp}`,
      {
        exitCode: 4,
        remedy:
          `If one is a clone of the other, give this one another --node-id; if it is the same host with a new address, run knet lease release ${own.nodeName} --force`,
      },
    );
  }
  if (own !== undefined && isLeasable(config, own.subnet)) {
    return { subnet: own.subnet, how: "kept", reserved: own.reserved };
  }
  const reservation = leases.find((lease) =>
    isUntaken(lease) && lease.publicIp === applicant.publicIp && isLeasable(config, lease.subnet)
  );
  if (reservation !== undefined) {
    return { subnet: reservation.subnet, how: "reserved", reserved: true, replaces: reservation };
  }
  const taken = new Set([...leases.map((lease) => lease.subnet), ...unreadable]);
  const { previousSubnet } = applicant;
  if (
    previousSubnet !== undefined && !taken.has(previousSubnet) && isLeasable(config, previousSubnet)
  ) {
    return { subnet: previousSubnet, how: "kept", reserved: false };
  }
  const { family } = parsePrefix(config.network);
  const step = 1n << BigInt(addressBits(family) - config.subnetLen);
  const last = addressToNumber(config.subnetMax);
  for (let number = addressToNumber(config.subnetMin); number <= last; number += step) {
    const subnet = `${numberToAddress(number, family)}/${config.subnetLen}`;
    if (!taken.has(subnet)) return { subnet, how: "new", reserved: false };
  }
  const expired =
    leases.filter((lease) => isExpired(lease, now) && isLeasable(config, lease.subnet))
      .sort((a, b) => a.expires - b.expires)[0];
  if (expired !== undefined && mayReassign) {
    return { subnet: expired.subnet, how: "reassigned", reserved: false, replaces: expired };
  }
  throw new KnetError(
    `Cannot lease a subnet of ${config.network}: all ${subnetCount(config)} are taken`,
    {
      exitCode: 4,
      remedy: expired === undefined
        ? "Release one with knet lease release, or prune expired ones with knet lease prune"
        : "Some have expired, but this host's clock differs too much from the others' to judge: set it right",
    },
  );
}
