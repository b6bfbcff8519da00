/**
 * Services and destinations as rows.
 *
 * @module
 */
import * as v from "valibot";
import { familyOf } from "../base/address.ts";
import { word } from "../base/shape.ts";
import { visibleName } from "../base/visible.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { checkFault } from "../services/check.ts";
import {
  compareDestinations,
  type Destination,
  type SchedulerFlag,
  type Service,
  SERVICE_DEFAULTS,
  type ServiceTimeouts,
} from "../services/service.ts";
import {
  destinationFault,
  destinationFits,
  type ServiceRules,
  serviceRules,
  timeoutsFault,
  withoutClashes,
} from "../services/service_rules.ts";
import { CHECK_SHAPE, TIMEOUTS_SHAPE } from "../services/service_shapes.ts";
import {
  addProblem,
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
} from "./row_check.ts";
import type { serviceTable } from "./schema.ts";
import type { DestinationRow, ServiceRow } from "./service_columns.ts";

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
  const what = "timeouts of services";
  const checked = checkRow(TIMEOUTS, row.document, () => what);
  if (checked.problem !== undefined) return checked;
  const state = timeoutsFault(checked.value);
  return state === undefined ? checked : { problem: { what, state } };
}

const { options: _options, ...bare } = SERVICE.entries;
const BARE_SERVICE = v.object(bare);

/** Equal texts have equal options, and most services of a cluster have the same. */
type ReadOptions = Map<string, Options>;

const nameOf = (row: Pick<ServiceRow, "name">) => `service "${visibleName(`${row.name}`)}"`;

/** A service whose destinations are still to come. To copy it with them would take longer than all else that is done with a row. */
type Draft = { -readonly [Name in keyof Service]: Service[Name] };

function serviceOf(row: ServiceRow, known: ReadOptions): Checked<Draft> {
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
      destinations: [],
      revision: value.revision,
    },
  };
}

const nameOfDestination = (row: DestinationRow) =>
  `real server ${visibleName(`${row.address}`)}:${row.port} of ${nameOf({ name: row.service })}`;

/** A row's destination; undefined if it is not of the shape. */
function destinationOf(row: DestinationRow): Destination | undefined {
  const { address, port, weight, upper, lower, drainUntil } = row;
  // What DESTINATION asks for: a large cluster has a hundred thousand of them, and only of one that does not fit the reason is wanted.
  const fits = isAddress(address) && isPort(port) && isCount(weight) && isCount(upper) &&
    isCount(lower) && isCount(drainUntil);
  if (!fits) return undefined;
  return drainUntil > 0
    ? { address, port, weight, upper, lower, draining: { deadline: drainUntil } }
    : { address, port, weight, upper, lower };
}

/** What is wrong with a row that is left out. */
function whyNoDestination(
  service: Service,
  row: DestinationRow,
  value: Destination | undefined,
): RowProblem {
  const what = nameOfDestination(row);
  if (value !== undefined) return { what, state: destinationFault(service, value) ?? "" };
  return checkRow(DESTINATION, row, () => what).problem ?? { what, state: "" };
}

/** Destinations of one service that can be used, in their order. */
function destinationsOf(
  service: Service,
  rows: readonly DestinationRow[],
  problems: RowProblem[],
): Destination[] {
  const found: Destination[] = [];
  for (const row of rows) {
    const value = destinationOf(row);
    if (value !== undefined && destinationFits(service, value)) found.push(value);
    else addProblem(problems, () => whyNoDestination(service, row, value));
  }
  return found.sort(compareDestinations);
}

/** A service's row that cannot be used, and why. */
export interface UnreadService {
  readonly row: ServiceRow;
  readonly state: string;
}

/** What rows of services come to. */
export interface JoinedRows {
  /** In the order of their names. */
  readonly services: Service[];
  readonly unread: readonly UnreadService[];
  /** Rows of destinations by their services' names, of services that are not there as well. */
  readonly held: ReadonlyMap<string, readonly DestinationRow[]>;
}

/** Services of rows that can be used, without their destinations. */
function readRows(
  rows: readonly ServiceRow[],
  rules: ServiceRules,
): { read: Draft[]; unread: UnreadService[] } {
  const known: ReadOptions = new Map();
  const read: Draft[] = [];
  const unread: UnreadService[] = [];
  const byName = new Map<string, ServiceRow>();
  for (const row of rows) {
    const { value, problem } = serviceOf(row, known);
    const state = problem?.state ?? rules(value!);
    if (state !== undefined) unread.push({ row, state });
    else {
      read.push(value!);
      byName.set(row.name, row);
    }
  }
  const { kept, out } = withoutClashes(read);
  for (const { service, state } of out) unread.push({ row: byName.get(service.name)!, state });
  return { read: kept, unread };
}

/**
 * Joins rows of services with those of their destinations. What cannot be used is left out and told of.
 *
 * @param config The cluster's configuration, if it is known.
 */
export function joinRows(
  services: readonly ServiceRow[],
  destinations: readonly DestinationRow[],
  config: ClusterConfig | undefined,
  problems: RowProblem[],
): JoinedRows {
  const held = new Map<string, DestinationRow[]>();
  for (const row of destinations) {
    const list = held.get(row.service);
    if (list === undefined) held.set(row.service, [row]);
    else list.push(row);
  }
  const { read, unread } = readRows(services, serviceRules(config));
  for (const { row, state } of unread) addProblem(problems, () => ({ what: nameOf(row), state }));
  for (const service of read) {
    const rows = held.get(service.name);
    const fault = checkFault(service.check);
    if (fault !== undefined) {
      addProblem(problems, () => ({
        what: `the check of ${nameOf(service)}`,
        state: `${fault}: this host does not do it`,
      }));
    }
    if (rows !== undefined) service.destinations = destinationsOf(service, rows, problems);
  }
  // Sorted here: the databases' collations differ.
  return { services: read.sort((a, b) => a.name < b.name ? -1 : 1), unread, held };
}
