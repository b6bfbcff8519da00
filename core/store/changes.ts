/**
 * What changed above a revision, for readers that keep a copy.
 *
 * @module
 */
import { readConfig } from "./config_row.ts";
import { changedLeases, liveLeases } from "./leases.ts";
import { readCounters } from "./revision.ts";
import { changedServices } from "./services.ts";
import type { Changes } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** See `Store.changesSince`. */
export async function changesSince(tx: Transaction, since: number): Promise<Changes> {
  const { db, now } = tx;
  const counter = await readCounters(db);
  const revision = counter("revision");
  const full = since === 0 || since < counter("purged") || since > revision ||
    since < counter("purged_services");
  if (since === revision && !full) {
    return {
      ...{ revision, full, now },
      ...{ leases: [], removed: [], services: [], removedServices: [], problems: [] },
    };
  }
  const leases = full ? { ...await liveLeases(tx), removed: [] } : await changedLeases(tx, since);
  const config = full ? await readConfig(tx) ?? null : await readConfig(tx, since);
  const services = await changedServices(tx, full ? undefined : since);
  return {
    revision,
    full,
    ...(config !== undefined && { config }),
    ...services,
    leases: leases.leases,
    removed: leases.removed,
    problems: [...leases.problems, ...services.problems],
    now,
  };
}
