/**
 * Marks of rows: what there is and when it changed, without what it says. By them a copy of the store is held against the store itself.
 * Containers have none: each is its host's word, which it says again where it is missing.
 *
 * @module
 */
import { count, eq, gt, or, sql, sum } from "drizzle-orm";
import { bounded } from "./row_check.ts";
import { configTable, leaseTable, serviceTable, timeoutsTable } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** One row. */
export interface RowMark {
  /** What it is, as people are told of it: `service "web"`. */
  readonly key: string;
  /** The store's revision at which it changed last. */
  readonly revision: number;
  /** Whether it was deleted: its tombstone. */
  readonly gone: boolean;
}

/** The mark of the cluster's configuration. */
export const CONFIG_KEY = "cluster configuration";

/** The mark of the timeouts of services. */
export const TIMEOUTS_KEY = "timeouts of services";

/** Revisions are summed up modulo this, so that none that was made by hand overflows. */
const MODULUS = 1_000_003;

/** How many rows there are, and the sum of their revisions, as one text. */
export function tallyOf(revisions: Iterable<number>): string {
  let [rows, total] = [0, 0];
  for (const revision of revisions) {
    rows++;
    total += revision % MODULUS;
  }
  return `${rows}/${total}`;
}

/** {@linkcode tallyOf} of all rows that are there. */
export async function readTally({ db }: Pick<Transaction, "db">): Promise<string> {
  const part = (table: MarkedTable, name: string) => {
    const remainder = sql`${table.revision} % ${sql.raw(`${MODULUS}`)}`;
    return db.select({
      rows: count().as(`${name}_rows`),
      total: sum(remainder).as(`${name}_total`),
    })
      .from(table).where("deleted" in table ? eq(table.deleted, 0) : undefined).as(name);
  };
  // One statement: every host asks it every few seconds, and each is a way to the store and back.
  const [row] = await db.select().from(part(leaseTable, "leases"))
    .crossJoin(part(serviceTable, "services")).crossJoin(part(configTable, "configs"))
    .crossJoin(part(timeoutsTable, "timeouts"));
  const parts = Object.values(row!);
  const all = (of: (one: typeof parts[number]) => unknown) =>
    parts.reduce((total, one) => total + Number(of(one) ?? 0), 0);
  return `${all(({ rows }) => rows)}/${all(({ total }) => total)}`;
}

type MarkedTable =
  | typeof leaseTable
  | typeof serviceTable
  | typeof configTable
  | typeof timeoutsTable;

/**
 * Marks of the rows that changed above a revision, deleted ones too.
 *
 * @param all Of all rows that are there as well.
 */
export async function readMarks(
  { db }: Pick<Transaction, "db">,
  since: number,
  all: boolean,
): Promise<RowMark[]> {
  const leases = await db.select({
    nodeId: bounded(leaseTable.nodeId),
    family: leaseTable.family,
    revision: leaseTable.revision,
    deleted: leaseTable.deleted,
  }).from(leaseTable).where(
    all
      ? or(eq(leaseTable.deleted, 0), gt(leaseTable.revision, since))
      : gt(leaseTable.revision, since),
  );
  const services = await db.select({
    name: bounded(serviceTable.name),
    revision: serviceTable.revision,
    deleted: serviceTable.deleted,
  }).from(serviceTable).where(
    all
      ? or(eq(serviceTable.deleted, 0), gt(serviceTable.revision, since))
      : gt(serviceTable.revision, since),
  );
  const [config] = await db.select({ revision: configTable.revision }).from(configTable);
  const [timeouts] = await db.select({ revision: timeoutsTable.revision }).from(timeoutsTable);
  return [
    ...leases.map(({ nodeId, family, revision, deleted }) => ({
      key: leaseKey(nodeId, family),
      revision,
      gone: deleted !== 0,
    })),
    ...services.map(({ name, revision, deleted }) => ({
      key: serviceKey(name),
      revision,
      gone: deleted !== 0,
    })),
    ...(config ? [{ key: CONFIG_KEY, revision: config.revision, gone: false }] : []),
    ...(timeouts ? [{ key: TIMEOUTS_KEY, revision: timeouts.revision, gone: false }] : []),
  ];
}

/** The key of a lease's mark. */
export function leaseKey(nodeId: string, family: number): string {
  return family === 4 ? `lease of node ${nodeId}` : `IPv${family} lease of node ${nodeId}`;
}

/** The key of a service's mark. */
export function serviceKey(name: string): string {
  return `service "${name}"`;
}
