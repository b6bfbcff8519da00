/**
 * What changed above a revision, for readers that keep a copy.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster/config.ts";
import { readConfigRow, UnusableConfigError } from "./config_row.ts";
import { markOf, settlingFor } from "./identity.ts";
import { changedLeases, liveLeases } from "./leases.ts";
import { readCounters } from "./revision.ts";
import { readMarks, readTally } from "./row_marks.ts";
import { changedServices } from "./service_changes.ts";
import type { Changes, Comparison } from "./store.ts";
import type { Transaction } from "./transaction.ts";

/** See `Store.changesSince`. */
export async function changesSince(
  tx: Transaction,
  since: number,
  compare: Comparison = "revision",
  lastGood?: ClusterConfig,
): Promise<Changes> {
  const { db, now } = tx;
  const counter = await readCounters(db);
  const mark = markOf(counter, tx.server);
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
  const row = await readConfigRow(tx);
  const { problem } = row;
  if (problem !== undefined && lastGood === undefined) throw new UnusableConfigError(problem);
  const config = row.config ?? (problem && lastGood);
  const leases = full
    ? { ...await liveLeases(tx, config), removed: [] }
    : await changedLeases(tx, since, config);
  const services = await changedServices(tx, full ? undefined : since, config);
  const changed = row.config === undefined ? full && !row.present : full || row.revision > since;
  return {
    ...facts,
    marks: await readMarks(tx, since, full),
    ...(changed && { config: row.config ?? null }),
    ...(problem !== undefined && { configProblem: problem.state }),
    ...services,
    leases: leases.leases,
    removed: leases.removed,
    problems: [...problem ? [problem] : [], ...leases.problems, ...services.problems],
  };
}
