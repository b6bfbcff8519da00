/**
 * The administrator's word that a store is to be believed, whatever agents knew before.
 *
 * @module
 */
import { and, eq, gt } from "drizzle-orm";
import { KnetError } from "../base/error.ts";
import { readConfigRow } from "./config_row.ts";
import { markOf, newIdentity, setCounter, SETTLING, type StoreMark } from "./identity.ts";
import { liveLeases, putLease } from "./leases.ts";
import { raiseRevision, readCounters } from "./revision.ts";
import { configTable, leaseTable, timeoutsTable } from "./schema.ts";
import { listServices } from "./services.ts";
import { putServices } from "./service_writes.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Transaction } from "./transaction.ts";

/** What a host knows of its store by its snapshot. */
export interface KnownStore {
  readonly mark: StoreMark;
  readonly snapshot: Snapshot;
}

/** What a host knows, by its snapshot. */
export function knownBy(snapshot: Snapshot | undefined): KnownStore | undefined {
  if (snapshot === undefined) return undefined;
  const { identity = 0, epoch = 0, revision = 0 } = snapshot.store ?? {};
  return { mark: { identity, epoch, revision }, snapshot };
}

/**
 * The mark of a new epoch. Pure.
 *
 * @param identity 0: a new one.
 * @param before All that is known of the store and of what was in its place.
 * @param now Store's clock, milliseconds since the epoch.
 */
export function markAfter(
  identity: number,
  before: readonly (StoreMark | undefined)[],
  now: number,
): StoreMark {
  const most = (field: "epoch" | "revision") =>
    Math.max(...before.map((mark) => mark?.[field] ?? 0));
  return {
    identity: identity || newIdentity(),
    // By the time: a host that was away for an adoption may make the next one, and must not come to the same number.
    epoch: Math.max(most("epoch") + 1, Math.floor(now / 1000)),
    // Above all that an agent may have seen, so that older ones read everything, too.
    revision: most("revision") + 1,
  };
}

/** Begins a new epoch: agents announce what they hold, and for a while nobody else gets a subnet. */
export async function accept(
  tx: Transaction,
  identity: number,
  before: readonly (StoreMark | undefined)[],
): Promise<StoreMark> {
  const { db } = tx;
  const mark = markAfter(identity, before, tx.now);
  await setCounter(db, "identity", mark.identity);
  await setCounter(db, "epoch", mark.epoch);
  await setCounter(db, "revision", mark.revision - 1);
  await setCounter(db, "purged", mark.revision - 1);
  await setCounter(db, "settles", tx.now + SETTLING);
  await raiseRevision(tx);
  return mark;
}

/** What an adoption did. */
export interface Adopted {
  readonly mark: StoreMark;
  /** Whether the store was empty, and holds what this host remembers now. */
  readonly remembered: boolean;
}

/**
 * Accepts the store as it is. One without a configuration is given what this host remembers. All leases are as expired until their
 * hosts announce them.
 *
 * @throws {KnetError} exit code 4 if there is no configuration, and this host remembers none.
 */
export async function adoptStore(
  tx: Transaction,
  known: KnownStore | undefined,
): Promise<Adopted> {
  const { db, now } = tx;
  // One that makes no sense is as good as none.
  const { config } = await readConfigRow(tx);
  if (config === undefined && known === undefined) {
    throw new KnetError(
      "Cannot adopt the store: it holds no usable cluster configuration, and this host remembers none",
      { exitCode: 4, remedy: "Run it on a host that has joined, or restore a backup" },
    );
  }
  const found = markOf(await readCounters(db));
  const mark = await accept(tx, known?.mark.identity || found.identity, [found, known?.mark]);
  await db.update(leaseTable).set({ expires: now })
    .where(and(eq(leaseTable.deleted, 0), gt(leaseTable.expires, now)));
  if (config !== undefined || known === undefined) return { mark, remembered: false };
  await remember(tx, known.snapshot, mark.revision);
  return { mark, remembered: true };
}

/** Writes what a host remembers of a cluster whose store was emptied. */
async function remember(tx: Transaction, snapshot: Snapshot, revision: number): Promise<void> {
  const { db, now } = tx;
  const row = { revision, document: JSON.stringify(snapshot.config) };
  await db.insert(configTable).values({ id: 1, ...row })
    .onConflictDoUpdate({ target: configTable.id, set: row });
  const { leases } = await liveLeases(tx, snapshot.config);
  const taken = new Set(leases.flatMap(({ nodeId, subnet }) => [nodeId, subnet]));
  for (const lease of [snapshot.own, ...snapshot.peers]) {
    if (taken.has(lease.nodeId) || taken.has(lease.subnet)) continue;
    await putLease(tx, { ...lease, revision, expires: Math.min(lease.expires, now) });
  }
  if (snapshot.services !== undefined) {
    const { services } = await listServices(tx, snapshot.config);
    if (services.length === 0) await putServices(tx, snapshot.services, revision);
  }
  const [timeouts] = await db.select({ id: timeoutsTable.id }).from(timeoutsTable);
  if (snapshot.timeouts !== undefined && timeouts === undefined) {
    await db.insert(timeoutsTable).values({
      ...{ id: 1, revision },
      document: JSON.stringify(snapshot.timeouts),
    });
  }
}
