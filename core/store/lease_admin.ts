/**
 * What administrators do with leases: release, reserve, prune.
 *
 * @module
 */
import { canonicalAddress, formatPrefix, parsePrefix } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { visibleName } from "../base/visible.ts";
import {
  clockIsSuspect,
  hasMovedOn,
  isExpired,
  isLeasable,
  isUntaken,
} from "../cluster/allocate.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { whyNoPublicIp } from "../cluster/lease_rules.ts";
import type { LeaseRow } from "./lease_rows.ts";
import type { Standing } from "./lease_decisions.ts";
import { buryLease, liveLeases, namedLeases, putLease, refuseUnfit } from "./leases.ts";
import { raiseRevision } from "./revision.ts";
import { whyNoHost } from "./services.ts";
import type { LeaseSelector } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** What of a lease can be shown though it cannot be used. */
function shownLease(row: LeaseRow): Lease {
  const { backendData: _data, reserved, ...rest } = row;
  return { ...rest, reserved: reserved !== 0, backendData: {} } as Lease;
}

/**
 * The one lease that a node's id, its name or a subnet means, if it may be released.
 *
 * @throws {KnetError} exit code 4: none or several, or its node lives and nothing is forced.
 */
export function releasable(
  leases: readonly Lease[],
  selector: LeaseSelector,
  now: number,
  options: { readonly force?: boolean; readonly agentId?: string } = {},
): Lease {
  const matches = leases.filter((lease) =>
    [lease.nodeId, lease.nodeName, lease.subnet].includes(selector)
  );
  if (matches.length === 0) {
    throw new KnetError(`Cannot release "${selector}": no lease has this node or subnet`, {
      exitCode: 4,
      remedy: "Run knet lease ls to see the leases",
    });
  }
  if (matches.length > 1) {
    throw new KnetError(
      `Cannot release "${selector}": ${matches.length} leases have this name`,
      { exitCode: 4, remedy: "Name the lease by its subnet or node id" },
    );
  }
  const lease = matches[0]!;
  const alive = !isUntaken(lease) && lease.expires > now && lease.agentId !== options.agentId;
  if (alive && !options.force) {
    const name = visibleName(`${lease.nodeName}`);
    throw new KnetError(`Cannot release ${lease.subnet} of "${name}": the node lives`, {
      exitCode: 4,
      remedy: "Run knet leave on that host, or add --force",
    });
  }
  return lease;
}

/**
 * See `Store.releaseLease`. What cannot be read can be released, too.
 *
 * @param config What leases were given by, if that is known.
 */
export async function releaseLease(
  tx: Transaction,
  config: ClusterConfig | undefined,
  selector: LeaseSelector,
  options: { readonly force?: boolean; readonly agentId?: string } = {},
): Promise<Lease> {
  const { leases, unreadable } = await namedLeases(tx, config, selector);
  const lease = releasable([...leases, ...unreadable.map(shownLease)], selector, tx.now, options);
  await buryLease(tx, lease, await raiseRevision(tx));
  return lease;
}

/** What is to be reserved. */
export interface Reservation {
  /** Canonical text. */
  readonly subnet: string;
  /** Canonical text. */
  readonly publicIp: string;
  /** Why no host can be at the address because of a service. */
  readonly whyNoHost: string | undefined;
  /** Also if it is reserved for another host, which loses it. */
  readonly force: boolean;
}

/**
 * The lease that reserves a subnet; its revision is still to be given. Pure.
 *
 * @throws {KnetError} exit code 4 as `Store.reserveLease`.
 */
export function decideReservation(
  { config, leases, unreadable, now }: Standing,
  { subnet: wanted, publicIp: address, whyNoHost: service, force }: Reservation,
): Lease {
  const refuse = (state: string, remedy: string) =>
    new KnetError(`Cannot reserve ${wanted}: ${state}`, { exitCode: 4, remedy });
  if (!isLeasable(config, wanted)) {
    throw refuse(
      `the cluster leases /${config.subnetLen} subnets from ${config.subnetMin} to ${config.subnetMax}`,
      "Choose one of these",
    );
  }
  const unfit = whyNoPublicIp(address, config);
  if (unfit !== undefined) throw refuse(`${address}: ${unfit}`, "Choose the address of a host");
  if (service !== undefined) throw refuse(service, "Choose an address that no service has");
  if (unreadable.some((row) => row.subnet === wanted)) {
    throw refuse(
      "a lease that this knet cannot read holds it",
      `Choose another subnet, or release that lease first (knet lease release ${wanted})`,
    );
  }
  const holder = leases.find((lease) => lease.subnet === wanted);
  const other = leases.find((lease) =>
    lease !== holder && lease.publicIp === address && !isExpired(lease, now) && !hasMovedOn(lease)
  );
  if (other !== undefined) throw refuse(...whyNotFor(other));
  if (holder !== undefined && holder.publicIp !== address && !(force && isUntaken(holder))) {
    throw isUntaken(holder)
      ? refuse(`it is reserved for ${holder.publicIp}`, "Choose another subnet, or add --force")
      : refuse(
        `"${holder.nodeName}" at ${holder.publicIp} holds it`,
        "Choose another subnet, or release that lease first",
      );
  }
  const lease: Lease = {
    nodeId: `reserved-${wanted.replace("/", "-").replaceAll(":", "-")}`,
    family: parsePrefix(wanted).family,
    nodeName: "",
    subnet: wanted,
    backend: config.backend.type,
    backendData: {},
    bootId: "",
    agentId: "",
    acquired: now,
    renewed: now,
    expires: now,
    ...holder,
    publicIp: address,
    reserved: true,
    revision: 0,
  };
  refuseUnfit(`Cannot reserve ${wanted}`, lease, config);
  return lease;
}

/** See `Store.reserveLease`. */
export async function reserveLease(
  tx: Transaction,
  config: ClusterConfig,
  subnet: string,
  publicIp: string,
  { force = false }: { readonly force?: boolean } = {},
): Promise<Lease> {
  const address = canonicalAddress(publicIp);
  const found = await liveLeases(tx, config);
  const lease = decideReservation({ ...found, config, now: tx.now }, {
    ...{ subnet: formatPrefix(parsePrefix(subnet)), publicIp: address, force },
    whyNoHost: await whyNoHost(tx, address),
  });
  const whole = { ...lease, revision: await raiseRevision(tx) };
  await putLease(tx, whole);
  return whole;
}

/** Why no other subnet is reserved for the host of a lease: it goes on with what it has. */
function whyNotFor(lease: Lease): [state: string, remedy: string] {
  const { publicIp, subnet, nodeName } = lease;
  if (isUntaken(lease)) {
    return [
      `${subnet} is reserved for ${publicIp} already`,
      `Remove that reservation first: knet lease release ${subnet}`,
    ];
  }
  return [
    `"${nodeName}" at ${publicIp} lives, and holds ${subnet}`,
    `Reserve that one: knet lease reserve ${subnet} --public-ip ${publicIp}; or give the host up first (knet leave there)`,
  ];
}

/**
 * Which leases are pruned. Pure.
 *
 * @param config Undefined if the store holds none.
 * @param nodeIds Only these; undefined: all.
 * @param hostClock Whether `now` is this host's own clock.
 * @throws {KnetError} exit code 4 if this host's clock cannot be trusted.
 */
export function decidePruning(
  { config, leases, now }: Pick<Standing, "leases" | "now"> & {
    readonly config: ClusterConfig | undefined;
  },
  nodeIds: readonly string[] | undefined,
  hostClock: boolean,
): Lease[] {
  const gone = leases.filter((lease) =>
    isExpired(lease, now) && (nodeIds === undefined || nodeIds.includes(lease.nodeId))
  );
  if (
    gone.length > 0 && config !== undefined && hostClock &&
    clockIsSuspect(config, leases, undefined, now)
  ) {
    throw new KnetError(
      "Cannot prune: this host's clock differs too much from the newest renewal of another node",
      { exitCode: 4, remedy: "Set the clock right, or release leases by name with --force" },
    );
  }
  return gone;
}

/**
 * See `Store.pruneLeases`.
 *
 * @param config Undefined if the store holds none.
 * @param hostClock Whether `tx.now` is this host's own clock.
 */
export async function pruneLeases(
  tx: Transaction,
  config: ClusterConfig | undefined,
  nodeIds: readonly string[] | undefined,
  hostClock: boolean,
): Promise<Lease[]> {
  const { leases } = await liveLeases(tx, config);
  const gone = decidePruning({ config, leases, now: tx.now }, nodeIds, hostClock);
  if (gone.length === 0) return [];
  const revision = await raiseRevision(tx);
  for (const lease of gone) await buryLease(tx, lease, revision);
  return gone;
}
