/**
 * What changed above a revision, for readers that keep a copy.
 *
 * @module
 */
import { readConfig } from "./config_row.ts";
import { markOf, settlingFor } from "./identity.ts";
import { changedLeases, liveLeases } from "./leases.ts";
import { readCounters } from "./revision.ts";
import { readMarks, readTally } from "./row_marks.ts";
import { changedServices } from "./services.ts";
import type { Changes, Comparison } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** See `Store.changesSince`. */
export async function changesSince(
  tx: Transaction,
  since: number,
  compare: Comparison = "revision",
): Promise<Changes> {
  const { db, now } = tx;
  const counter = await readCounters(db);
  const mark = markOf(counter);
  const { revision } = mark;
  const purged = Math.max(counter("purged"), counter("purged_services"));
  const whole = compare === "rows";
  const full = whole || since === 0 || since < purged || since > revision;
  const tally = compare === "revision" ? undefined : await readTally(tx);
  const facts = {
    ...{ revision, mark, whole, full, purged, now },
    settling: settlingFor(counter, now),
    ...(tally !== undefined && { tally }),
  };
  if (since === revision && !full) {
    return {
      ...facts,
      ...{ marks: [], leases: [], removed: [], services: [], removedServices: [], problems: [] },
    };
  }
  const leases = full ? { ...await liveLeases(tx), removed: [] } : await changedLeases(tx, since);
  const config = full ? await readConfig(tx) ?? null : await readConfig(tx, since);
  const services = await changedServices(tx, full ? undefined : since);
  return {
    ...facts,
    marks: await readMarks(tx, since, full),
    ...(config !== undefined && { config }),
    ...services,
    leases: leases.leases,
    removed: leases.removed,
    problems: [...leases.problems, ...services.problems],
  };
}
