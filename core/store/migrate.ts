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
import { EmptiedStoreError } from "./emptied.ts";
import { readCounters } from "./revision.ts";
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

/** What a statement of a migration makes. */
const MADE = /^CREATE (TABLE|INDEX|UNIQUE INDEX) "(\w+)"/;

/** The tables that came with each version of the schema, the oldest first. */
const TABLES = MIGRATIONS.map((statements) =>
  statements.flatMap((text) => {
    const [, kind, table] = MADE.exec(text) ?? [];
    return kind === "TABLE" ? [table!] : [];
  })
);

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
  /** The newest version of which there is a table beside that of the counters: what its counters would say, had nobody emptied them. */
  const tablesVersion = async () => {
    for (let version = TABLES.length; version > 0; version--) {
      for (const table of TABLES[version - 1]!) {
        if (table !== "knet_meta" && await hasTable(table)) return version;
      }
    }
    return 0;
  };
  const isWhole = async () => {
    for (const table of TABLES.flat()) if (!await hasTable(table)) return false;
    return true;
  };
  /** The version of the tables, and whether nothing is to be done. `alone`: within the lock. */
  const look = async (alone: boolean) => {
    const hasCounters = await hasTable("knet_meta");
    if (!hasCounters && existingAt !== undefined) throw new NoStoreError(existingAt);
    const counter = hasCounters ? await readCounters(db) : () => 0;
    const counted = counter("schema") > 0;
    if (counted) {
      checkReader({ oldestReader: counter("oldest_reader"), schema: counter("schema") }, name);
    }
    const version = counted ? counter("schema") : await tablesVersion();
    // Tables without their counters were emptied by somebody, or are hidden from this user. Whoever came to it first would give it
    // another identity than its members know.
    // Not alone, another host may have made them all between two looks.
    const isSure = hasCounters || alone;
    if (isSure && !counted && version > 0 && !repair) throw new EmptiedStoreError(name);
    return { version, done: counted && version >= SCHEMA_VERSION && (!repair || await isWhole()) };
  };
  if ((await look(false)).done) return;
  await locked(async () => {
    const { version, done } = await look(true);
    if (done) return;
    for (const [index, statements] of MIGRATIONS.entries()) {
      for (const text of statements) {
        // Of what somebody dropped, the rest is still there.
        if (repair && MADE.test(text)) {
          await query(text.replace(MADE, 'CREATE $1 IF NOT EXISTS "$2"'));
        } else if (index >= version) await query(text);
      }
    }
    await db.insert(metaTable).values(
      Object.entries({ ...COUNTERS, ...LATER_COUNTERS }).map(([name, value]) => ({ name, value })),
    ).onConflictDoNothing();
    await db.update(metaTable).set({ value: SCHEMA_VERSION }).where(eq(metaTable.name, "schema"));
  });
}
