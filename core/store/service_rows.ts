/**
 * Services and destinations as rows, and statements over lists of them.
 *
 * @module
 */
import { familyOf } from "../base/address.ts";
import {
  compareDestinations,
  type Destination,
  type Protocol,
  type Service,
  SERVICE_DEFAULTS,
} from "../services/service.ts";
import type { Query, Row, SqlValue } from "./engine.ts";

/** Values in one statement: SQLite finds each by its name, which is quadratic; Postgres likes few round trips. */
const MOST_VALUES = 210;

/** What stands in the column `options`: all of a service that no query asks for. */
type Options = Omit<
  Service,
  "name" | "vip" | "port" | "family" | "protocol" | "destinations" | "revision"
>;

/** The text for the column `options`. */
export function optionsOf(service: Service): string {
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
  const options: Options = {
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
  return JSON.stringify(options);
}

function serviceOf(row: Row, destinations: readonly Destination[]): Service {
  const vip = String(row.vip);
  const family = familyOf(vip);
  return {
    // What an older knet did not know of has its default.
    ...SERVICE_DEFAULTS,
    schedulerFlags: [],
    persistenceNetmask: family === 4 ? 32 : 128,
    check: { type: "none" },
    ...JSON.parse(String(row.options)) as Partial<Options>,
    name: String(row.name),
    vip,
    port: Number(row.port),
    family,
    protocol: String(row.protocol) as Protocol,
    destinations,
    revision: Number(row.revision),
  };
}

function destinationOf(row: Row): Destination {
  const deadline = Number(row.drain_until);
  return {
    address: String(row.address),
    port: Number(row.port),
    weight: Number(row.weight),
    upper: Number(row.upper_threshold),
    lower: Number(row.lower_threshold),
    ...(deadline > 0 && { draining: { deadline } }),
  };
}

/**
 * Runs a statement for lists of any length: `make` writes it for the placeholders of a part of them.
 *
 * @param first Parameters that come before, `?1` and on, in each statement.
 */
export async function inParts(
  query: Query,
  rows: readonly (readonly SqlValue[])[],
  make: (placeholders: string) => string,
  first: readonly SqlValue[] = [],
): Promise<Row[]> {
  const found: Row[] = [];
  const width = rows[0]?.length ?? 1;
  const most = Math.floor(MOST_VALUES / width);
  for (let at = 0; at < rows.length; at += most) {
    const part = rows.slice(at, at + most);
    const list = part.map((_, n) =>
      `(${
        Array.from({ length: width }, (_, column) => `?${first.length + n * width + column + 1}`)
          .join(", ")
      })`
    );
    found.push(...await query(make(list.join(", ")), [...first, ...part.flat()]));
  }
  return found;
}

/** For `where name in …`: one placeholder a name. */
export const names = (list: readonly string[]) => list.map((name) => [name]);

/** Columns that {@linkcode joinRows} needs of a service. */
export const SERVICE_COLUMNS = "name, vip, port, protocol, options, revision";
/** Columns that it needs of a destination. */
export const DESTINATION_COLUMNS =
  "service, address, port, weight, upper_threshold, lower_threshold, drain_until";

/** Joins rows of services with those of their destinations. */
export function joinRows(services: readonly Row[], destinations: readonly Row[]): Service[] {
  const held = new Map<string, Destination[]>();
  for (const row of destinations) {
    const name = String(row.service);
    const list = held.get(name);
    if (list === undefined) held.set(name, [destinationOf(row)]);
    else list.push(destinationOf(row));
  }
  // Sorted here: the databases' collations differ.
  return services.map((row) =>
    serviceOf(row, held.get(String(row.name))?.sort(compareDestinations) ?? [])
  ).sort((a, b) => a.name < b.name ? -1 : 1);
}
