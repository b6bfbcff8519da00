/**
 * Services and destinations as rows.
 *
 * @module
 */
import { getTableColumns } from "drizzle-orm";
import * as v from "valibot";
import { familyOf } from "../base/address.ts";
import { word } from "../base/shape.ts";
import {
  compareDestinations,
  type Destination,
  type SchedulerFlag,
  type Service,
  SERVICE_DEFAULTS,
  type ServiceTimeouts,
} from "../services/service.ts";
import { CHECK_SHAPE, TIMEOUTS_SHAPE } from "../services/service_shapes.ts";
import {
  addressText,
  asWritten,
  type Checked,
  checkRow,
  count,
  isAddress,
  isCount,
  isPort,
  jsonOf,
  portNumber,
  type RowProblem,
  usable,
} from "./row_check.ts";
import { destinationTable, serviceTable } from "./schema.ts";

const { deleted: _deleted, ...serviceColumns } = getTableColumns(serviceTable);

/** Columns of a service that are read. */
export const SERVICE_COLUMNS = serviceColumns;

/** Columns of a destination. */
export const DESTINATION_COLUMNS = getTableColumns(destinationTable);

/** A service's row as it comes. */
export type ServiceRow = Omit<typeof serviceTable.$inferSelect, "deleted">;
/** A destination's row as it comes. */
export type DestinationRow = typeof destinationTable.$inferSelect;

/**
 * What stands in the column `options`: all of a service that no query asks for. An older knet did not know of all of it;
 * words that only a newer one has pass: the kernel refuses them one by one.
 */
const OPTIONS = v.object({
  scheduler: v.optional(word<Service["scheduler"]>(), SERVICE_DEFAULTS.scheduler),
  schedulerFlags: v.optional(v.array(word<SchedulerFlag>()), []),
  forward: v.optional(word<Service["forward"]>(), SERVICE_DEFAULTS.forward),
  persistent: v.optional(count, SERVICE_DEFAULTS.persistent),
  persistenceNetmask: v.optional(count),
  onePacket: v.optional(v.boolean(), SERVICE_DEFAULTS.onePacket),
  masquerade: v.optional(word<Service["masquerade"]>(), SERVICE_DEFAULTS.masquerade),
  check: v.optional(CHECK_SHAPE, { type: "none" }),
  onEmpty: v.optional(word<Service["onEmpty"]>(), SERVICE_DEFAULTS.onEmpty),
  drainTimeout: v.optional(count, SERVICE_DEFAULTS.drainTimeout),
});

type Options = v.InferOutput<typeof OPTIONS>;

const SERVICE = v.object({
  name: v.string(),
  vip: addressText,
  port: portNumber,
  protocol: word<Service["protocol"]>(),
  options: jsonOf(OPTIONS),
  revision: count,
});

const DESTINATION = v.object({
  address: addressText,
  port: portNumber,
  weight: count,
  upper: count,
  lower: count,
  drainUntil: count,
});

const TIMEOUTS = jsonOf(asWritten(TIMEOUTS_SHAPE));

/** A service's row. */
export function rowOfService(
  service: Service,
  revision: number,
): typeof serviceTable.$inferSelect {
  const { name, vip, port, protocol } = service;
  const {
    scheduler,
    schedulerFlags,
    forward,
    persistent,
    persistenceNetmask,
    onePacket,
    masquerade,
    check,
    onEmpty,
    drainTimeout,
  } = service;
  const options = {
    scheduler,
    schedulerFlags,
    forward,
    persistent,
    persistenceNetmask,
    onePacket,
    masquerade,
    check,
    onEmpty,
    drainTimeout,
  };
  return { name, vip, port, protocol, options: JSON.stringify(options), revision, deleted: 0 };
}

/** A destination's row. */
export function rowOfDestination(service: string, one: Destination): DestinationRow {
  const { address, port, weight, upper, lower, draining } = one;
  return { service, address, port, weight, upper, lower, drainUntil: draining?.deadline ?? 0 };
}

/** Timeouts of their row. */
export function timeoutsOf(row: { readonly document: string }): Checked<ServiceTimeouts> {
  return checkRow(TIMEOUTS, row.document, () => "timeouts of services");
}

const { options: _options, ...bare } = SERVICE.entries;
const BARE_SERVICE = v.object(bare);

/** Equal texts have equal options, and most services of a cluster have the same. */
type ReadOptions = Map<string, Options>;

const nameOf = (row: ServiceRow) => `service "${row.name}"`;

function serviceOf(
  row: ServiceRow,
  destinations: readonly Destination[],
  known: ReadOptions,
): Checked<Service> {
  const seen = known.get(row.options);
  const checked = seen === undefined
    ? checkRow(SERVICE, row, nameOf)
    : checkRow(BARE_SERVICE, row, nameOf);
  if (checked.problem !== undefined) return checked;
  const { value } = checked;
  const options = seen ?? (value as v.InferOutput<typeof SERVICE>).options;
  if (seen === undefined) known.set(row.options, options);
  const family = familyOf(value.vip);
  // Field by field, which is quicker by far than to spread.
  return {
    value: {
      protocol: value.protocol,
      scheduler: options.scheduler,
      forward: options.forward,
      persistent: options.persistent,
      onePacket: options.onePacket,
      masquerade: options.masquerade,
      onEmpty: options.onEmpty,
      drainTimeout: options.drainTimeout,
      schedulerFlags: options.schedulerFlags,
      persistenceNetmask: options.persistenceNetmask ?? (family === 4 ? 32 : 128),
      check: options.check,
      name: value.name,
      vip: value.vip,
      port: value.port,
      family,
      destinations,
      revision: value.revision,
    },
  };
}

const nameOfDestination = (row: DestinationRow) =>
  `real server ${row.address}:${row.port} of service "${row.service}"`;

function destinationOf(row: DestinationRow): Checked<Destination> {
  const { address, port, weight, upper, lower, drainUntil } = row;
  // What DESTINATION asks for: a large cluster has a hundred thousand of them, and only of one that does not fit the reason is wanted.
  const fits = isAddress(address) && isPort(port) && isCount(weight) && isCount(upper) &&
    isCount(lower) && isCount(drainUntil);
  if (!fits) return checkRow(DESTINATION, row, nameOfDestination) as { problem: RowProblem };
  return {
    value: drainUntil > 0
      ? { address, port, weight, upper, lower, draining: { deadline: drainUntil } }
      : { address, port, weight, upper, lower },
  };
}

/** Joins rows of services with those of their destinations, in the order of their names. */
export function joinRows(
  services: readonly ServiceRow[],
  destinations: readonly DestinationRow[],
  problems: RowProblem[],
): Service[] {
  const held = new Map<string, Destination[]>();
  for (const row of destinations) {
    const { value, problem } = destinationOf(row);
    if (problem !== undefined) problems.push(problem);
    else {
      const list = held.get(row.service);
      if (list === undefined) held.set(row.service, [value]);
      else list.push(value);
    }
  }
  const known: ReadOptions = new Map();
  // Sorted here: the databases' collations differ.
  return usable(
    services,
    (row) => serviceOf(row, held.get(row.name)?.sort(compareDestinations) ?? [], known),
    problems,
  ).sort((a, b) => a.name < b.name ? -1 : 1);
}
