/**
 * What is read of services, and how much of it at most.
 *
 * @module
 */
import { getTableColumns } from "drizzle-orm";
import { bounded } from "./row_check.ts";
import { destinationTable, serviceTable, timeoutsTable } from "./schema.ts";

const { deleted: _deleted, ...serviceColumns } = getTableColumns(serviceTable);

/** Characters of JSON that are read: more than any rule allows. */
const MOST_OPTIONS = 4096;

/** Columns of a service that are read. */
export const SERVICE_COLUMNS = {
  ...serviceColumns,
  name: bounded(serviceTable.name),
  vip: bounded(serviceTable.vip),
  protocol: bounded(serviceTable.protocol),
  options: bounded(serviceTable.options, MOST_OPTIONS),
};

/** Columns of a destination. */
export const DESTINATION_COLUMNS = {
  ...getTableColumns(destinationTable),
  service: bounded(destinationTable.service),
  address: bounded(destinationTable.address),
};

/** Of the row of timeouts. */
export const TIMEOUTS_COLUMNS = {
  document: bounded(timeoutsTable.document, MOST_OPTIONS),
  revision: timeoutsTable.revision,
};

/**
 * So many services, and destinations of all of them, are read at most. More than any cluster has: somebody else wrote them, and memory
 * has an end.
 */
export const MOST_SERVICES = 32_768;
/** See {@linkcode MOST_SERVICES}. */
export const MOST_DESTINATIONS = 262_144;

/** A service's row as it comes. */
export type ServiceRow = Omit<typeof serviceTable.$inferSelect, "deleted">;
/** A destination's row as it comes. */
export type DestinationRow = typeof destinationTable.$inferSelect;
