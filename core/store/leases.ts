/**
 * Leases in the database: read, given, given back, kept.
 *
 * @module
 */
import { and, eq, gt } from "drizzle-orm";
import { canonicalAddress, formatPrefix, parsePrefix } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { clockIsSuspect, isExpired, isLeasable, isUntaken } from "../cluster/allocate.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import { type LeaseRules, leaseRules, withoutOverlaps } from "../cluster/lease_rules.ts";
import { readMany } from "./bulk.ts";
import { readConfig } from "./config_row.ts";
import { LEASE_COLUMNS, leaseName, leaseOf, type LeaseRow, rowOfLease } from "./lease_rows.ts";
import { purgeTombstones, raiseRevision } from "./revision.ts";
import { type Checked, type RowProblem, usable } from "./row_check.ts";
import { leaseTable } from "./schema.ts";
import { whyNoHost } from "./services.ts";
import type { LeaseSelector } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** Leases, and what could not be read of them. */
export interface LeaseList {
  readonly leases: Lease[];
  readonly problems: RowProblem[];
  /** What stands in the rows that could not be read: nobody else can have that subnet. */
  readonly unreadable: readonly Pick<Lease, "nodeId" | "subnet">[];
}

const live = eq(leaseTable.deleted, 0);

/** So many leases are read at most. More than any cluster has: somebody else wrote them, and memory has an end. */
const MOST_LEASES = 65_536;

/**
 * The rules that leases of this cluster have been written by. A configuration that makes no sense is told of where it is needed;
 * leases are judged without it.
 */
async function rulesOf(tx: Pick<Transaction, "db">): Promise<LeaseRules> {
  try {
    return leaseRules(await readConfig(tx));
  } catch (error) {
    if (!(error instanceof KnetError) || error.exitCode !== 4) throw error;
    return leaseRules(undefined);
  }
}

/** Judges a row by its shape and by what a lease of the cluster may be. */
function judge(row: LeaseRow, rules: LeaseRules): Checked<Lease> {
  const checked = leaseOf(row);
  if (checked.problem !== undefined) return checked;
  const state = rules(checked.value);
  return state === undefined ? checked : { problem: { what: leaseName(row), state } };
}

/** All leases, or those of one family, in the order of their subnets' text. */
export async function liveLeases(tx: Transaction, family?: Family): Promise<LeaseList> {
  const select = tx.db.select(LEASE_COLUMNS).from(leaseTable)
    .where(family === undefined ? live : and(live, eq(leaseTable.family, family)))
    .limit(MOST_LEASES + 1);
  const rows = await readMany(tx, LEASE_COLUMNS, select);
  const rules = await rulesOf(tx);
  const problems: RowProblem[] = [];
  if (rows.length > MOST_LEASES) {
    rows.length = MOST_LEASES;
    problems.push({ what: "leases", state: `there are more than ${MOST_LEASES}` });
  }
  const unreadable: Pick<Lease, "nodeId" | "subnet">[] = [];
  const read = usable(rows, (row: LeaseRow) => {
    const checked = judge(row, rules);
    if (checked.problem !== undefined) unreadable.push(row);
    return checked;
  }, problems);
  const { kept: leases, out } = withoutOverlaps(read);
  for (const { nodeName, subnet } of out) {
    problems.push({ what: `lease of node "${nodeName}"`, state: `an older one has ${subnet}` });
  }
  // Sorted here: the databases' collations differ.
  leases.sort((a, b) => a.subnet < b.subnet ? -1 : 1);
  return { leases, problems, unreadable };
}

/** Leases that changed above a revision, and who lost theirs. */
export async function changedLeases({ db }: Pick<Transaction, "db">, since: number) {
  const rows = await db.select({ ...LEASE_COLUMNS, deleted: leaseTable.deleted }).from(leaseTable)
    .where(gt(leaseTable.revision, since));
  const rules = await rulesOf({ db });
  const problems: RowProblem[] = [];
  return {
    leases: usable(
      rows.filter(({ deleted }) => deleted === 0),
      (row) => judge(row, rules),
      problems,
    ),
    removed: rows.filter(({ deleted }) => deleted !== 0)
      .map(({ nodeId, family }) => ({ nodeId, family: family as Family })),
    problems,
  };
}

/** Writes a lease whole. */
export async function putLease({ db }: Pick<Transaction, "db">, lease: Lease): Promise<void> {
  const { nodeId, family, ...rest } = rowOfLease(lease);
  await db.insert(leaseTable).values({ nodeId, family, ...rest })
    .onConflictDoUpdate({ target: [leaseTable.nodeId, leaseTable.family], set: rest });
}

/** Deletes a lease, and leaves a tombstone. */
export async function buryLease(tx: Transaction, lease: Lease, revision: number): Promise<void> {
  await tx.db.update(leaseTable).set({ deleted: tx.now, revision }).where(
    and(eq(leaseTable.nodeId, lease.nodeId), eq(leaseTable.family, lease.family)),
  );
  await purgeTombstones(tx, leaseTable, "purged");
}

/** See `Store.releaseLease`. */
export async function releaseLease(
  tx: Transaction,
  selector: LeaseSelector,
  options: { readonly force?: boolean; readonly agentId?: string } = {},
): Promise<Lease> {
  const matches = (await liveLeases(tx)).leases.filter((lease) =>
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
  const alive = !isUntaken(lease) && lease.expires > tx.now && lease.agentId !== options.agentId;
  if (alive && !options.force) {
    throw new KnetError(`Cannot release ${lease.subnet} of "${lease.nodeName}": the node lives`, {
      exitCode: 4,
      remedy: "Run knet leave on that host, or add --force",
    });
  }
  await buryLease(tx, lease, await raiseRevision(tx));
  return lease;
}

/** See `Store.reserveLease`. */
export async function reserveLease(
  tx: Transaction,
  config: ClusterConfig,
  subnet: string,
  publicIp: string,
): Promise<Lease> {
  const wanted = formatPrefix(parsePrefix(subnet));
  const address = canonicalAddress(publicIp);
  const refuse = (state: string, remedy: string) =>
    new KnetError(`Cannot reserve ${wanted}: ${state}`, { exitCode: 4, remedy });
  if (!isLeasable(config, wanted)) {
    throw refuse(
      `the cluster leases /${config.subnetLen} subnets from ${config.subnetMin} to ${config.subnetMax}`,
      "Choose one of these",
    );
  }
  const unfit = await whyNoHost(tx, address);
  if (unfit !== undefined) throw refuse(unfit, "Choose an address that no service has");
  const { leases, unreadable } = await liveLeases(tx);
  if (unreadable.some((row) => row.subnet === wanted)) {
    throw refuse("a lease that this knet cannot read holds it", "Choose another subnet");
  }
  const holder = leases.find((lease) => lease.subnet === wanted);
  const base = { publicIp: address, reserved: true };
  let lease: Lease;
  if (holder === undefined) {
    lease = {
      nodeId: `reserved-${wanted.replace("/", "-").replaceAll(":", "-")}`,
      family: parsePrefix(wanted).family,
      nodeName: "",
      subnet: wanted,
      backend: config.backend.type,
      backendData: {},
      bootId: "",
      agentId: "",
      acquired: tx.now,
      renewed: tx.now,
      expires: tx.now,
      revision: 0,
      ...base,
    };
  } else if (holder.publicIp === address || isUntaken(holder)) lease = { ...holder, ...base };
  else {
    throw refuse(
      `"${holder.nodeName}" at ${holder.publicIp} holds it`,
      "Choose another subnet, or release that lease first",
    );
  }
  const whole = { ...lease, revision: await raiseRevision(tx) };
  await putLease(tx, whole);
  return whole;
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
  const { leases } = await liveLeases(tx);
  const gone = leases.filter((lease) =>
    isExpired(lease, tx.now) && (nodeIds === undefined || nodeIds.includes(lease.nodeId))
  );
  if (gone.length === 0) return [];
  if (
    config !== undefined && hostClock && clockIsSuspect(config, leases, undefined, tx.now)
  ) {
    throw new KnetError(
      "Cannot prune: this host's clock differs too much from the newest renewal of another node",
      { exitCode: 4, remedy: "Set the clock right, or release leases by name with --force" },
    );
  }
  const revision = await raiseRevision(tx);
  for (const lease of gone) await buryLease(tx, lease, revision);
  return gone;
}
