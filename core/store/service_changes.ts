/**
 * What of services changed above a revision.
 *
 * @module
 */
import { and, gt, inArray } from "drizzle-orm";
import type { ClusterConfig } from "../cluster/config.ts";
import { NO_TIMEOUTS } from "../services/service.ts";
import { inParts } from "./bulk.ts";
import { type RowProblem, withinLimit } from "./row_check.ts";
import { serviceTable } from "./schema.ts";
import { MOST_SERVICES, SERVICE_COLUMNS, type ServiceRow } from "./service_columns.ts";
import { allServices, live, readTimeouts, withDestinations } from "./services.ts";
import type { Changes } from "./store.ts";
import type { Transaction } from "./transaction.ts";

type ServiceChanges = Pick<Changes, "services" | "removedServices" | "timeouts" | "problems">;

/**
 * What changed above a revision; everything if that is undefined. What cannot be used counts as removed.
 *
 * @param config The cluster's configuration, if it is known.
 */
export async function changedServices(
  tx: Transaction,
  since: number | undefined,
  config: ClusterConfig | undefined,
): Promise<ServiceChanges> {
  const { db } = tx;
  const problems: RowProblem[] = [];
  const judgement = { config, problems };
  if (since === undefined) {
    return {
      services: (await allServices(tx, judgement)).services,
      removedServices: [],
      timeouts: await readTimeouts(tx, problems) ?? NO_TIMEOUTS,
      problems,
    };
  }
  const timeouts = await readTimeouts(tx, problems, since);
  const changed = await db.select({ ...SERVICE_COLUMNS, deleted: serviceTable.deleted })
    .from(serviceTable).where(gt(serviceTable.revision, since)).limit(MOST_SERVICES + 1);
  withinLimit(changed, MOST_SERVICES, "changed services", problems);
  const rows = new Map<string, ServiceRow>();
  const removed = new Set<string>();
  for (const { deleted, ...row } of changed) {
    if (deleted === 0) rows.set(row.name, row);
    else removed.add(row.name);
  }
  // Others at the same place: whether they give way to one of these is to be judged anew.
  const places = new Set(changed.map(placeOf));
  const beside = await inParts(
    [...new Set(changed.map(({ vip }) => vip))],
    (part) =>
      db.select(SERVICE_COLUMNS).from(serviceTable).where(
        and(live, inArray(serviceTable.vip, part)),
      )
        .limit(MOST_SERVICES),
  );
  for (const row of beside) if (places.has(placeOf(row))) rows.set(row.name, row);
  const { services, unread } = await withDestinations(tx, [...rows.values()], judgement);
  for (const { row } of unread) removed.add(row.name);
  return { services, removedServices: [...removed], ...(timeouts && { timeouts }), problems };
}

/** What no two services have. */
function placeOf({ vip, port, protocol }: Pick<ServiceRow, "vip" | "port" | "protocol">): string {
  return JSON.stringify([vip, port, protocol]);
}
