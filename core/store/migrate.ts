/**
 * Brings a database to the schema that this knet knows, or refuses one that is too new.
 *
 * drizzle's own migrator cannot do it: it knows no lock that many hosts wait for, and no oldest version that may still read.
 *
 * @module
 */
import { eq } from "drizzle-orm";
import { KnetError } from "../base/error.ts";
import type { Query } from "./engine.ts";
import { NoStoreError } from "./location.ts";
import { MIGRATIONS } from "./migrations/embedded.ts";
import { EmptiedStoreError, readCounters } from "./revision.ts";
import { metaTable } from "./schema.ts";
import { databaseOver, unwrapped } from "./transaction.ts";

/** Version of the schema that this knet writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** Oldest version whose knet may still use a database that this one made. */
const OLDEST_READER = 1;

/** Every counter that a database has, with what it begins at. */
const COUNTERS = { revision: 0, schema: 0, oldest_reader: OLDEST_READER, purged: 0 };

/**
 * Counters that came later, in rows of their own: a knet of schema 1 that purges leases would set their counter back below that of
 * the services.
 */
const LATER_COUNTERS = { purged_services: 0 };

/** What an engine does for {@linkcode migrate}. */
export interface MigratedDatabase {
  readonly query: Query;
  /** How messages call it: `database "/srv/knet.db"`. */
  readonly name: string;
  /** Make no tables: where the store was looked for, for the message. */
  readonly existingAt?: string;
  /** Take tables whose counters were emptied for what they are: the administrator has said so. */
  readonly repair?: boolean;
  /** Whether it has a table. */
  hasTable(name: string): Promise<boolean>;
  /** Runs `work` in a transaction that no other host's migration runs beside. */
  locked(work: () => Promise<void>): Promise<void>;
}

/**
 * Refuses a database that a newer knet has closed to this one. It may happen at any time, so it is asked with every transaction.
 *
 * @param counters Those of the database.
 * @param name How messages call the database.
 * @throws {KnetError} exit code 4.
 */
export function checkReader(
  counters: { readonly oldestReader: number; readonly schema: number },
  name: string,
): void {
  if (counters.oldestReader <= SCHEMA_VERSION) return;
  throw new KnetError(
    `Cannot use the ${name}: its schema ${counters.schema} is too new for this knet, which knows ${SCHEMA_VERSION}`,
    { exitCode: 4, remedy: "Install a newer knet on this host" },
  );
}

/** A table that came with each version of the schema, the newest first. */
const NEWEST_TABLES = ["knet_authority", "knet_services", "knet_leases"] as const;

/**
 * Makes the tables, or adds what an older knet did not have.
 *
 * @throws {KnetError} exit code 4 if the schema is too new; NoStoreError if there are no tables and none may be made.
 */
export function migrate(database: MigratedDatabase): Promise<void> {
  return unwrapped(bringUp(database));
}

async function bringUp(database: MigratedDatabase): Promise<void> {
  const { query, name, existingAt, repair = false, hasTable, locked } = database;
  const db = databaseOver(query);
  /** Which version the tables are of, where their counters were emptied. */
  const tablesVersion = async () => {
    for (const [index, table] of NEWEST_TABLES.entries()) {
      if (await hasTable(table)) return NEWEST_TABLES.length - index;
    }
    return 0;
  };
  /** The version of the tables, and whether the counters know it. */
  const look = async () => {
    if (!await hasTable("knet_meta")) {
      if (existingAt !== undefined) throw new NoStoreError(existingAt);
      return { version: 0, counted: false };
    }
    const counter = await readCounters(db);
    const counted = counter("schema") > 0;
    checkReader({ oldestReader: counter("oldest_reader"), schema: counter("schema") }, name);
    const version = counted ? counter("schema") : await tablesVersion();
    // Tables without their counters were emptied by somebody, or are hidden from this user. Whoever came to it first would give it
    // another identity than its members know.
    if (!counted && version > 0 && !repair) throw new EmptiedStoreError(name);
    return { version, counted };
  };
  const isDone = ({ version, counted }: Awaited<ReturnType<typeof look>>) =>
    counted && version >= SCHEMA_VERSION;
  if (isDone(await look())) return;
  await locked(async () => {
    const before = await look();
    if (isDone(before)) return;
    for (const statements of MIGRATIONS.slice(before.version)) {
      for (const text of statements) await query(text);
    }
    await db.insert(metaTable).values(
      Object.entries({ ...COUNTERS, ...LATER_COUNTERS }).map(([name, value]) => ({ name, value })),
    ).onConflictDoNothing();
    await db.update(metaTable).set({ value: SCHEMA_VERSION }).where(eq(metaTable.name, "schema"));
  });
}
