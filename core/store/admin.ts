/**
 * What the administrator does to a store as a whole: look, check, back up, restore, adopt.
 *
 * @module
 */
import { count, gt, max } from "drizzle-orm";
import type { ClusterConfig } from "../cluster/config.ts";
import { isExpired, isUntaken } from "../cluster/allocate.ts";
import { type Adopted, adoptStore, type KnownStore } from "./adoption.ts";
import { makeBackup, restoreBackup, type Restored, type StoreBackup } from "./backup.ts";
import { readConfigRow } from "./config_row.ts";
import type { Engine } from "./engine.ts";
import { markOf, type StoreMark } from "./identity.ts";
import { liveLeases } from "./leases.ts";
import { readCounters } from "./revision.ts";
import { describeProblem, type RowProblem } from "./row_check.ts";
import { leaseTable, serviceTable } from "./schema.ts";
import { allServices, readTimeouts } from "./services.ts";
import { readFrom, type Transaction, writeTo } from "./transaction.ts";

/** What a store is and how much it holds. */
export interface StoreInfo {
  readonly engine: Engine["engine"];
  /** URL without its password. */
  readonly location: string;
  readonly mark: StoreMark;
  /** Version of the tables. */
  readonly schema: number;
  readonly config?: ClusterConfig;
  readonly leases: { readonly held: number; readonly expired: number; readonly reserved: number };
  readonly services: number;
  readonly realServers: number;
  /** What was deleted and is still told of. */
  readonly tombstones: number;
  /** Store's clock, milliseconds since the epoch. */
  readonly now: number;
  /** What of it cannot be used. */
  readonly problems: readonly string[];
  /** Hosts that hold it, where that is known. */
  readonly copies?: readonly CopyInfo[];
}

/** A host of a store that the cluster itself holds. */
export interface CopyInfo {
  /** Its node id. */
  readonly node: string;
  /** Its name, or the node id where that is not known. */
  readonly name: string;
  /** Voters and those that stand by hold a copy; a spare one holds none. */
  readonly role: "voter" | "standby" | "spare";
  readonly leads: boolean;
  /** The last entry of its log; absent if it has no copy, does not say, or was not asked. */
  readonly index?: number;
}

/** A store in the administrator's hands. */
export interface StoreAdmin extends AsyncDisposable {
  readonly location: string;
  /** What it is; problems of its rows are told, not thrown. */
  info(): Promise<StoreInfo>;
  /** Everything in it, in one state of it. */
  backup(): Promise<StoreBackup>;
  /** See `restoreBackup`. */
  restore(backup: StoreBackup, known: KnownStore | undefined, force: boolean): Promise<Restored>;
  /** See `adoptStore`. */
  adopt(known: KnownStore | undefined): Promise<Adopted>;
}

async function info(tx: Transaction, { engine, location }: Engine): Promise<StoreInfo> {
  const { db, now } = tx;
  const counter = await readCounters(db);
  const mark = markOf(counter);
  const problems: string[] = [];
  const { config, problem } = await readConfigRow(tx);
  if (problem !== undefined) problems.push(describeProblem(problem));
  else if (config === undefined) problems.push("There is no cluster configuration");
  if (mark.identity === 0) {
    problems.push("It has no identity; the next host that joins, or adopt, gives it one");
  }
  const { leases, problems: ofLeases } = await liveLeases(tx, config);
  const ofServices: RowProblem[] = [];
  const { services, unread, held } = await allServices(tx, { config, problems: ofServices });
  await readTimeouts(tx, ofServices);
  problems.push(...[...ofLeases, ...ofServices].map(describeProblem));
  const names = new Set([...services, ...unread.map(({ row }) => row)].map(({ name }) => name));
  for (const name of held.keys()) {
    if (names.has(name)) continue;
    problems.push(`There are real servers of a service "${name}" that does not exist`);
  }
  for (const [what, table] of [["lease", leaseTable], ["service", serviceTable]] as const) {
    const [newest] = await db.select({ revision: max(table.revision) }).from(table);
    if ((newest?.revision ?? 0) > mark.revision) {
      problems.push(
        `A ${what} is of revision ${newest!.revision}, and the store only at ${mark.revision}`,
      );
    }
  }
  let tombstones = 0;
  for (const table of [leaseTable, serviceTable]) {
    const [buried] = await db.select({ rows: count() }).from(table).where(gt(table.deleted, 0));
    tombstones += Number(buried?.rows ?? 0);
  }
  return {
    ...{ engine, location, mark, now, problems },
    schema: counter("schema"),
    ...(config !== undefined && { config }),
    leases: {
      held: leases.filter((lease) => !isUntaken(lease) && !isExpired(lease, now)).length,
      expired: leases.filter((lease) => isExpired(lease, now)).length,
      reserved: leases.filter((lease) => lease.reserved).length,
    },
    services: services.length,
    realServers: [...held.values()].reduce((sum, rows) => sum + rows.length, 0),
    tombstones,
  };
}

/** A store over an engine, for the administrator. */
export function storeAdmin(engine: Engine): StoreAdmin {
  return {
    location: engine.location,
    info: async () => {
      const found = await readFrom(engine, (tx) => info(tx, engine));
      return { ...found, problems: [...await engine.integrity?.() ?? [], ...found.problems] };
    },
    backup: () => readFrom(engine, makeBackup),
    restore: (backup, known, force) =>
      writeTo(engine, (tx) => restoreBackup(tx, backup, known, force)),
    adopt: (known) => writeTo(engine, (tx) => adoptStore(tx, known)),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
