/**
 * What changed in a model of the store.
 *
 * @module
 */
import { NO_TIMEOUTS } from "../../../core/services/service.ts";
import { markOf, settlingFor } from "../../../core/store/identity.ts";
import {
  CONFIG_KEY,
  leaseKey,
  type RowMark,
  serviceKey,
  tallyOf,
  TIMEOUTS_KEY,
} from "../../../core/store/row_marks.ts";
import type { Changes, Comparison } from "../../../core/store/store.ts";
import type { Entry, ModelTables } from "./tables.ts";

function tally({ leases, services, config, timeouts }: ModelTables): string {
  const living = <T>(entries: ReadonlyMap<string, Entry<T>>) =>
    [...entries.values()].filter(({ deleted }) => deleted === 0);
  const rows = [...living(leases), ...living(services), config, timeouts];
  return tallyOf(rows.flatMap((row) => row === undefined ? [] : [row.revision]));
}

function marks(tables: ModelTables, since: number, all: boolean): RowMark[] {
  const found: RowMark[] = [];
  const add = (key: string, { revision, deleted }: Omit<Entry<unknown>, "value">) => {
    if (revision > since || (all && deleted === 0)) {
      found.push({ key, revision, gone: deleted !== 0 });
    }
  };
  for (const entry of tables.leases.values()) {
    add(leaseKey(entry.value.nodeId, entry.value.family), entry);
  }
  for (const [name, entry] of tables.services) add(serviceKey(name), entry);
  const { config, timeouts } = tables;
  if (config) found.push({ key: CONFIG_KEY, revision: config.revision, gone: false });
  if (timeouts) found.push({ key: TIMEOUTS_KEY, revision: timeouts.revision, gone: false });
  return found;
}

/** See `Store.changesSince`. */
export function changesIn(
  tables: ModelTables,
  since: number,
  compare: Comparison,
  now: number,
): Changes {
  const { counter } = tables;
  const mark = markOf(counter);
  const { revision } = mark;
  const purged = Math.max(counter("purged"), counter("purged_services"));
  const whole = compare === "rows";
  const full = whole || since === 0 || since < purged || since > revision;
  const facts = {
    ...{ revision, mark, whole, full, purged, now, problems: [] },
    settling: settlingFor(counter, now),
    ...(compare !== "revision" && { tally: tally(tables) }),
  };
  if (since === revision && !full) {
    return { ...facts, marks: [], leases: [], removed: [], services: [], removedServices: [] };
  }
  const { config, timeouts } = tables;
  const common = {
    ...facts,
    marks: marks(tables, since, full),
    ...((full || (config?.revision ?? 0) > since) && { config: config?.value ?? null }),
  };
  if (full) {
    return {
      ...common,
      ...{ leases: tables.living(), removed: [], removedServices: [] },
      services: tables.livingServices(),
      timeouts: timeouts?.value ?? NO_TIMEOUTS,
    };
  }
  const newer = <T>({ revision }: Entry<T>) => revision > since;
  const leases = [...tables.leases.values()].filter(newer);
  const services = [...tables.services].filter(([, entry]) => newer(entry));
  const living = <T>({ deleted }: Entry<T>) => deleted === 0;
  return {
    ...common,
    leases: leases.filter(living).map(({ value }) => value),
    removed: leases.filter((one) => !living(one))
      .map(({ value: { nodeId, family } }) => ({ nodeId, family })),
    services: services.filter(([, entry]) => living(entry)).map(([, { value }]) => value)
      .sort((a, b) => a.name < b.name ? -1 : 1),
    removedServices: services.filter(([, entry]) => !living(entry)).map(([name]) => name),
    ...(timeouts !== undefined && timeouts.revision > since && { timeouts: timeouts.value }),
  };
}
