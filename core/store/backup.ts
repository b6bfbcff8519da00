/**
 * The whole of a store as one document, the same for every engine, and a store from such a document.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { eq, getTableColumns } from "drizzle-orm";
import * as v from "valibot";
import { KnetError, messageOf } from "../base/error.ts";
import { parseShape } from "../base/shape.ts";
import { VERSION } from "../base/version.ts";
import { accept, type KnownStore } from "./adoption.ts";
import { insertMany, readMany } from "./bulk.ts";
import { identityText, markOf, type StoreMark } from "./identity.ts";
import { readCounters } from "./revision.ts";
import {
  configTable,
  containerTable,
  destinationTable,
  leaseTable,
  serviceTable,
  timeoutsTable,
} from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** Rows as they stand in the tables; tombstones are left out, and containers, of which their hosts tell. */
export interface BackupTables {
  readonly config: readonly (typeof configTable.$inferSelect)[];
  readonly leases: readonly (typeof leaseTable.$inferSelect)[];
  readonly services: readonly (typeof serviceTable.$inferSelect)[];
  readonly destinations: readonly (typeof destinationTable.$inferSelect)[];
  readonly timeouts: readonly (typeof timeoutsTable.$inferSelect)[];
}

/** A backup. */
export interface StoreBackup {
  readonly format: "knet-backup";
  readonly version: 1;
  /** Which knet wrote it. */
  readonly knet: string;
  /** Store's clock, milliseconds since the epoch. */
  readonly taken: number;
  readonly mark: StoreMark;
  readonly tables: BackupTables;
  /** SHA-256 of the tables as JSON, hexadecimal. */
  readonly digest: string;
}

const TABLES = {
  config: configTable,
  leases: leaseTable,
  services: serviceTable,
  destinations: destinationTable,
  timeouts: timeoutsTable,
} as const;

/** Rows by their columns' types: text or whole numbers. */
function rowsOf(table: (typeof TABLES)[keyof typeof TABLES]) {
  const columns = Object.entries(getTableColumns(table)).map(([name, column]) =>
    [name, column.dataType === "string" ? v.string() : v.pipe(v.number(), v.safeInteger())] as const
  );
  return v.array(v.strictObject(Object.fromEntries(columns)));
}

/** The shape of {@linkcode StoreBackup}. */
export const BACKUP_SHAPE = v.object({
  format: v.literal("knet-backup", "it is no backup of knet's"),
  version: v.literal(1, ({ received }) => `a newer knet wrote it (version ${received})`),
  knet: v.string(),
  taken: v.number(),
  mark: v.object({ identity: v.number(), epoch: v.number(), revision: v.number() }),
  tables: v.object(
    Object.fromEntries(Object.entries(TABLES).map(([name, table]) => [name, rowsOf(table)])),
  ),
  digest: v.string(),
}) as unknown as v.GenericSchema<unknown, StoreBackup>;

function digestOf(tables: BackupTables): string {
  return createHash("sha256").update(JSON.stringify(tables)).digest("hex");
}

/** Everything that a store holds, in one state of it. */
export async function makeBackup(tx: Transaction): Promise<StoreBackup> {
  const { db } = tx;
  const read = <T extends (typeof TABLES)[keyof typeof TABLES]>(table: T) => {
    const columns = getTableColumns(table);
    const select = "deleted" in table
      ? db.select().from(table as typeof leaseTable).where(eq(table.deleted, 0))
      : db.select().from(table as typeof configTable);
    return readMany(tx, columns as never, select as never) as Promise<T["$inferSelect"][]>;
  };
  const tables: BackupTables = {
    config: await read(configTable),
    leases: await read(leaseTable),
    services: await read(serviceTable),
    destinations: await read(destinationTable),
    timeouts: await read(timeoutsTable),
  };
  return {
    ...{ format: "knet-backup", version: 1, knet: VERSION, taken: tx.now },
    mark: markOf(await readCounters(db)),
    tables,
    digest: digestOf(tables),
  };
}

/**
 * Reads a backup's text.
 *
 * @param name How messages call it.
 * @throws {KnetError} if it is none, or damaged.
 */
export function readBackup(text: string, name: string): StoreBackup {
  const damaged = (why: string, cause?: unknown) =>
    new KnetError(`Cannot restore from ${name}: ${why}`, {
      remedy: "Use another backup; nothing was changed",
      cause,
    });
  let backup: StoreBackup;
  try {
    backup = parseShape(BACKUP_SHAPE, text);
  } catch (error) {
    throw damaged(messageOf(error), error);
  }
  if (digestOf(backup.tables) !== backup.digest) {
    throw damaged("it was changed or cut since it was written (its digest does not fit)");
  }
  if (backup.tables.config.length === 0) throw damaged("it holds no cluster configuration");
  return backup;
}

/** What a restore did. */
export interface Restored {
  readonly mark: StoreMark;
  readonly leases: number;
  readonly services: number;
}

/**
 * Replaces all that a store holds by a backup, as an adoption: hosts announce what they hold, and the rows of those that do not are as
 * expired leases are.
 *
 * @param known What this host knows of the cluster's store.
 * @param force Also if the store holds something.
 * @throws {KnetError} exit code 4 if it does.
 */
export async function restoreBackup(
  tx: Transaction,
  backup: StoreBackup,
  known: KnownStore | undefined,
  force: boolean,
): Promise<Restored> {
  const { db, now } = tx;
  const leases = await db.select({ nodeId: leaseTable.nodeId }).from(leaseTable)
    .where(eq(leaseTable.deleted, 0));
  const services = await db.select({ name: serviceTable.name }).from(serviceTable)
    .where(eq(serviceTable.deleted, 0));
  if (!force && leases.length + services.length > 0) {
    throw new KnetError(
      `Cannot restore: the store holds ${leases.length} leases and ${services.length} services`,
      {
        exitCode: 4,
        remedy: "Add --force to replace all of it; knet store backup keeps it before",
      },
    );
  }
  const found = markOf(await readCounters(db));
  // Agents go on with the store that they know: this host's word, else that of who is in the store now.
  const identity = known?.mark.identity ||
    (leases.length > 0 ? found.identity : backup.mark.identity) || backup.mark.identity;
  for (const table of Object.values(TABLES)) await db.delete(table);
  // Their hosts say again what they have.
  await db.delete(containerTable);
  const mark = await accept(tx, identity, [found, backup.mark, known?.mark]);
  const { revision } = mark;
  const put = async <T extends (typeof TABLES)[keyof typeof TABLES]>(
    table: T,
    rows: readonly T["$inferSelect"][],
  ) => {
    await insertMany(
      tx,
      table,
      rows as never,
      (part) => db.insert(table as typeof configTable).values(part as never),
    );
  };
  const { tables } = backup;
  await put(configTable, tables.config.map((row) => ({ ...row, revision })));
  await put(
    leaseTable,
    tables.leases.map((row) => ({ ...row, revision, expires: Math.min(row.expires, now) })),
  );
  await put(serviceTable, tables.services.map((row) => ({ ...row, revision })));
  await put(destinationTable, tables.destinations);
  await put(timeoutsTable, tables.timeouts.map((row) => ({ ...row, revision })));
  return { mark, leases: tables.leases.length, services: tables.services.length };
}

/** Which store a backup is of, for people. */
export function describeBackup({ mark, taken, knet }: StoreBackup): string {
  return `store ${
    identityText(mark.identity)
  }, epoch ${mark.epoch}, revision ${mark.revision}, taken ${
    new Date(taken).toISOString()
  } by knet ${knet}`;
}
