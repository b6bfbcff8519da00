/**
 * Leases in the database: read, written, buried.
 *
 * @module
 */
import { and, eq, gt, inArray, or, type SQL } from "drizzle-orm";
import { KnetError } from "../base/error.ts";
import { visibleName } from "../base/visible.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Family, Lease } from "../cluster/lease.ts";
import { type LeaseRules, leaseRules, withoutOverlaps } from "../cluster/lease_rules.ts";
import { inParts, readMany } from "./bulk.ts";
import { dropContainers } from "./container_rows.ts";
import { LEASE_COLUMNS, leaseName, leaseOf, type LeaseRow, rowOfLease } from "./lease_rows.ts";
import { purgeTombstones } from "./revision.ts";
import { addProblem, type Checked, type RowProblem, usable, withinLimit } from "./row_check.ts";
import { leaseTable } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** Leases, and what could not be read of them. */
export interface LeaseList {
  readonly leases: Lease[];
  readonly problems: RowProblem[];
  /** What stands in the rows that could not be read: nobody else can have that subnet. */
  readonly unreadable: readonly LeaseRow[];
}

const live = eq(leaseTable.deleted, 0);

/** So many leases are read at most. More than any cluster has: somebody else wrote them, and memory has an end. */
const MOST_LEASES = 65_536;

/** Judges a row by its shape and by what a lease of the cluster may be. */
function judge(row: LeaseRow, rules: LeaseRules): Checked<Lease> {
  const checked = leaseOf(row);
  if (checked.problem !== undefined) return checked;
  const state = rules(checked.value);
  return state === undefined ? checked : { problem: { what: leaseName(row), state } };
}

/**
 * All leases, or those of one family, in the order of their subnets' text.
 *
 * @param config What they were given by, if that is known.
 */
export function liveLeases(
  tx: Transaction,
  config: ClusterConfig | undefined,
  family?: Family,
): Promise<LeaseList> {
  return leasesWhere(tx, config, family === undefined ? undefined : eq(leaseTable.family, family));
}

/**
 * Leases that an administrator may mean: without reading those of thousands of others.
 *
 * @param config What they were given by, if that is known.
 * @param selector Node id, node name or subnet.
 */
export function namedLeases(
  tx: Transaction,
  config: ClusterConfig | undefined,
  selector: string,
): Promise<LeaseList> {
  const { nodeId, nodeName, subnet } = leaseTable;
  return leasesWhere(tx, config, or(...[nodeId, nodeName, subnet].map((of) => eq(of, selector))));
}

async function leasesWhere(
  tx: Transaction,
  config: ClusterConfig | undefined,
  condition: SQL | undefined,
): Promise<LeaseList> {
  const select = tx.db.select(LEASE_COLUMNS).from(leaseTable).where(and(live, condition))
    .limit(MOST_LEASES + 1);
  const rows = await readMany(tx, LEASE_COLUMNS, select);
  const problems: RowProblem[] = [];
  withinLimit(rows, MOST_LEASES, "leases", problems);
  const { leases, unreadable } = judgeAll(rows, leaseRules(config), problems);
  // Sorted here: the databases' collations differ.
  leases.sort((a, b) => a.subnet < b.subnet ? -1 : 1);
  return { leases, problems, unreadable };
}

/** What no two rows have. */
function keyOf({ nodeId, family }: Pick<LeaseRow, "nodeId" | "family">): string {
  return `${nodeId} ${family}`;
}

/** Leases of rows that can be used, and what stands in the others. */
function judgeAll(rows: readonly LeaseRow[], rules: LeaseRules, problems: RowProblem[]) {
  const unreadable: LeaseRow[] = [];
  const read = usable(rows, (row: LeaseRow) => {
    const checked = judge(row, rules);
    if (checked.problem !== undefined) unreadable.push(row);
    return checked;
  }, problems);
  const { kept: leases, out } = withoutOverlaps(read);
  const left = new Set(out.map(keyOf));
  if (left.size > 0) unreadable.push(...rows.filter((row) => left.has(keyOf(row))));
  for (const lease of out) {
    const what = `lease of node "${visibleName(lease.nodeName)}"`;
    addProblem(problems, () => ({ what, state: `an older one has ${lease.subnet}` }));
  }
  return { leases, unreadable };
}

/**
 * Leases that changed above a revision, and who lost theirs. What cannot be used counts as lost.
 *
 * @param config What they were given by, if that is known.
 */
export async function changedLeases(
  { db }: Pick<Transaction, "db">,
  since: number,
  config: ClusterConfig | undefined,
) {
  const problems: RowProblem[] = [];
  const changed = await db.select({ ...LEASE_COLUMNS, deleted: leaseTable.deleted })
    .from(leaseTable).where(gt(leaseTable.revision, since)).limit(MOST_LEASES + 1);
  withinLimit(changed, MOST_LEASES, "changed leases", problems);
  const rows = new Map<string, LeaseRow>();
  const removed = new Map<string, LeaseRow>();
  for (const { deleted, ...row } of changed) (deleted === 0 ? rows : removed).set(keyOf(row), row);
  // Others of the same subnet: whether they give way to one of these is to be judged anew.
  const beside = await inParts(
    [...new Set(changed.map(({ subnet }) => subnet))],
    (part) =>
      db.select(LEASE_COLUMNS).from(leaseTable).where(and(live, inArray(leaseTable.subnet, part)))
        .limit(MOST_LEASES),
  );
  for (const row of beside) rows.set(keyOf(row), row);
  const { leases, unreadable } = judgeAll([...rows.values()], leaseRules(config), problems);
  for (const row of unreadable) removed.set(keyOf(row), row);
  return {
    leases,
    removed: [...removed.values()].map(({ nodeId, family }) => ({
      nodeId,
      family: family as Family,
    })),
    problems,
  };
}

/** Writes a lease whole. */
export async function putLease({ db }: Pick<Transaction, "db">, lease: Lease): Promise<void> {
  const { nodeId, family, ...rest } = rowOfLease(lease);
  await db.insert(leaseTable).values({ nodeId, family, ...rest })
    .onConflictDoUpdate({ target: [leaseTable.nodeId, leaseTable.family], set: rest });
}

/** Deletes a lease and leaves a tombstone; what its host said of its containers goes with it. */
export async function buryLease(tx: Transaction, lease: Lease, revision: number): Promise<void> {
  await tx.db.update(leaseTable).set({ deleted: tx.now, revision }).where(
    and(eq(leaseTable.nodeId, lease.nodeId), eq(leaseTable.family, lease.family)),
  );
  await dropContainers(tx);
  await purgeTombstones(tx, leaseTable, "purged");
}

/**
 * Refuses a lease that would be left out wherever it is read.
 *
 * @param action `Cannot reserve 10.244.7.0/24`.
 * @throws {KnetError} exit code 4.
 */
export function refuseUnfit(action: string, lease: Lease, config: ClusterConfig): void {
  const state = leaseRules(config)(lease);
  if (state === undefined) return;
  throw new KnetError(`${action}: ${state}`, {
    exitCode: 4,
    remedy: "Give the host what the cluster takes (--public-ip or --iface, --node)",
  });
}
