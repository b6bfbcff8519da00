/**
 * The counters of the store: one row each in `knet_meta`.
 *
 * @module
 */
import { and, eq, gt, lt, max, sql } from "drizzle-orm";
import { EmptiedStoreError } from "./emptied.ts";
import { leaseTable, metaTable, serviceTable } from "./schema.ts";
import type { Database, Transaction } from "./transaction.ts";

/** Milliseconds for which what was deleted stays as a tombstone, for agents that were away. */
export const TOMBSTONE_LIFE = 7 * 86_400_000;

/** All counters by name. */
export async function readCounters(db: Database): Promise<(name: string) => number> {
  const rows = await db.select().from(metaTable);
  const values = new Map(rows.map(({ name, value }) => [name, value]));
  return (name) => values.get(name) ?? 0;
}

/** The revision: how many changes there were. */
export async function readRevision({ db }: Pick<Transaction, "db">): Promise<number> {
  return (await readCounters(db))("revision");
}

/** Raises the revision within a write and tells others of it. */
export async function raiseRevision({ db, announce }: Transaction): Promise<number> {
  const [row] = await db.update(metaTable).set({ value: sql`${metaTable.value} + 1` })
    .where(eq(metaTable.name, "revision")).returning({ value: metaTable.value });
  if (row === undefined) throw new EmptiedStoreError();
  await announce();
  return row.value;
}

/**
 * Deletes tombstones of a table that are older than their life, and notes up to which revision readers have to read everything.
 *
 * @param counter The counter that takes this note.
 */
export async function purgeTombstones(
  { db, now }: Transaction,
  table: typeof leaseTable | typeof serviceTable,
  counter: "purged" | "purged_services",
): Promise<void> {
  const old = and(gt(table.deleted, 0), lt(table.deleted, now - TOMBSTONE_LIFE));
  const [purged] = await db.select({ revision: max(table.revision) }).from(table).where(old);
  if (purged?.revision == null) return;
  await db.delete(table).where(old);
  const { revision: value } = purged;
  await db.insert(metaTable).values({ name: counter, value })
    .onConflictDoUpdate({ target: metaTable.name, set: { value } });
}
