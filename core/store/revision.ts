/**
 * The counters of the store: one row each in `knet_meta`.
 *
 * @module
 */
import type { Engine, Query } from "./engine.ts";

/** Milliseconds for which what was deleted stays as a tombstone, for agents that were away. */
export const TOMBSTONE_LIFE = 7 * 86_400_000;

/** A counter's value; 0 if there is none of that name. */
export async function meta(query: Query, name: string): Promise<number> {
  const [row] = await query("select value from knet_meta where name = ?1", [name]);
  return Number(row?.value ?? 0);
}

/** Raises the revision within a write and tells others of it. */
export async function raiseRevision(engine: Engine, query: Query): Promise<number> {
  const [row] = await query(
    "update knet_meta set value = value + 1 where name = 'revision' returning value",
  );
  await engine.announce(query);
  return Number(row!.value);
}

/**
 * Deletes tombstones of a table that are older than their life, and notes up to which revision readers have to read everything.
 *
 * @param counter The counter that takes this note.
 */
export async function purgeTombstones(
  query: Query,
  table: "knet_leases" | "knet_services",
  counter: "purged" | "purged_services",
  now: number,
): Promise<void> {
  const old = now - TOMBSTONE_LIFE;
  const [purged] = await query(
    `select max(revision) as revision from ${table} where deleted > 0 and deleted < ?1`,
    [old],
  );
  if (purged?.revision == null) return;
  await query(`delete from ${table} where deleted > 0 and deleted < ?1`, [old]);
  await query("update knet_meta set value = ?1 where name = ?2", [purged.revision, counter]);
}
