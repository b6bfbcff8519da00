/**
 * Services and their destinations in the database. A change of a destination is a change of its service: revisions and tombstones
 * are the service's alone.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster.ts";
import { familyOf } from "../address.ts";
import {
  compareDestinations,
  type Destination,
  NO_TIMEOUTS,
  type Protocol,
  type Service,
  SERVICE_DEFAULTS,
  type ServiceTimeouts,
} from "../service/model.ts";
import type { Engine, Query, Row, SqlValue } from "./engine.ts";
import { meta, purgeTombstones, raiseRevision } from "./revision.ts";
import type { Changes, ServiceEdit, ServiceScope, ServiceView } from "./store.ts";

/** Values in one statement: SQLite finds each by its name, which is quadratic; Postgres likes few round trips. */
const MOST_VALUES = 210;

/** What stands in the column `options`: all of a service that no query asks for. */
type Options = Omit<
  Service,
  "name" | "vip" | "port" | "family" | "protocol" | "destinations" | "revision"
>;

function optionsOf(service: Service): Options {
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
  return {
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
async function inParts(
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
const names = (list: readonly string[]) => list.map((name) => [name]);

const SERVICE_COLUMNS = "name, vip, port, protocol, options, revision";
const DESTINATION_COLUMNS =
  "service, address, port, weight, upper_threshold, lower_threshold, drain_until";

/** Joins rows of services with those of their destinations. */
function join(services: readonly Row[], destinations: readonly Row[]): Service[] {
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

async function readServices(query: Query, scope: ServiceScope): Promise<Service[]> {
  if (scope === "all") {
    return join(
      await query(`select ${SERVICE_COLUMNS} from knet_services where deleted = 0`),
      await query(`select ${DESTINATION_COLUMNS} from knet_destinations`),
    );
  }
  const select = `select ${SERVICE_COLUMNS} from knet_services where deleted = 0 and`;
  const named = await inParts(query, names(scope.names), (list) => `${select} name in (${list})`);
  const vips = new Set([...scope.vips ?? [], ...named.map((row) => String(row.vip))]);
  const beside = await inParts(query, names([...vips]), (list) => `${select} vip in (${list})`);
  const rows = new Map([...named, ...beside].map((row) => [String(row.name), row]));
  return join(
    [...rows.values()],
    await inParts(
      query,
      names([...rows.keys()]),
      (list) => `select ${DESTINATION_COLUMNS} from knet_destinations where service in (${list})`,
    ),
  );
}

async function readTimeouts(query: Query, since?: number): Promise<ServiceTimeouts | undefined> {
  const [row] = since === undefined
    ? await query("select document from knet_service_timeouts where id = 1")
    : await query("select document from knet_service_timeouts where id = 1 and revision > ?1", [
      since,
    ]);
  return row === undefined ? undefined : JSON.parse(String(row.document)) as ServiceTimeouts;
}

/** All services. */
export async function listServices(query: Query, now: number) {
  return {
    services: await readServices(query, "all"),
    timeouts: await readTimeouts(query) ?? NO_TIMEOUTS,
    revision: await meta(query, "revision"),
    now,
  };
}

/** What changed above a revision; everything if that is undefined. */
export async function changedServices(
  query: Query,
  since: number | undefined,
): Promise<Pick<Changes, "services" | "removedServices" | "timeouts">> {
  if (since === undefined) {
    return {
      services: await readServices(query, "all"),
      removedServices: [],
      timeouts: await readTimeouts(query) ?? NO_TIMEOUTS,
    };
  }
  const rows = await query(
    `select ${SERVICE_COLUMNS}, deleted from knet_services where revision > ?1`,
    [since],
  );
  const destinations = rows.length === 0 ? [] : await query(
    `select ${DESTINATION_COLUMNS} from knet_destinations where service in
     (select name from knet_services where revision > ?1)`,
    [since],
  );
  const timeouts = await readTimeouts(query, since);
  return {
    services: join(rows.filter((row) => Number(row.deleted) === 0), destinations),
    removedServices: rows.filter((row) => Number(row.deleted) !== 0).map((row) => String(row.name)),
    ...(timeouts && { timeouts }),
  };
}

async function view(
  query: Query,
  scope: ServiceScope,
  config: ClusterConfig | undefined,
  now: number,
): Promise<ServiceView> {
  const services = await readServices(query, scope);
  const select = "select node_name, public_ip from knet_leases where deleted = 0";
  const hosts = scope === "all" ? await query(select) : await inParts(
    query,
    names(scope.vips ?? []),
    (list) => `${select} and public_ip in (${list})`,
  );
  const drained = ({ draining }: Destination) => draining !== undefined && draining.deadline <= now;
  return {
    services: new Map(services.map((service) => [
      service.name,
      service.destinations.some(drained)
        ? { ...service, destinations: service.destinations.filter((one) => !drained(one)) }
        : service,
    ])),
    timeouts: await readTimeouts(query) ?? NO_TIMEOUTS,
    config,
    hosts: hosts.map((row) => ({
      nodeName: String(row.node_name),
      publicIp: String(row.public_ip),
    })),
    now,
  };
}

async function put(query: Query, services: readonly Service[], revision: number): Promise<void> {
  await inParts(
    query,
    services.map((service) => [
      service.name,
      service.vip,
      service.port,
      service.protocol,
      JSON.stringify(optionsOf(service)),
      revision,
      0,
    ]),
    (list) =>
      `insert into knet_services (${SERVICE_COLUMNS}, deleted) values ${list}
       on conflict (name) do update set vip = excluded.vip, port = excluded.port,
       protocol = excluded.protocol, options = excluded.options, revision = excluded.revision,
       deleted = 0`,
  );
  await inParts(
    query,
    services.flatMap(({ name, destinations }) =>
      destinations.map((one) => [
        name,
        one.address,
        one.port,
        one.weight,
        one.upper,
        one.lower,
        one.draining?.deadline ?? 0,
      ])
    ),
    (list) => `insert into knet_destinations (${DESTINATION_COLUMNS}) values ${list}`,
  );
}

/** Takes services out: two of a batch may exchange their addresses, which the index would not allow one by one. */
async function bury(
  query: Query,
  list: readonly string[],
  revision: number,
  now: number,
): Promise<void> {
  await inParts(
    query,
    names(list),
    (part) => `update knet_services set deleted = ?1, revision = ?2 where name in (${part})`,
    [now, revision],
  );
  await inParts(
    query,
    names(list),
    (part) => `delete from knet_destinations where service in (${part})`,
  );
}

/** Reads, lets `edit` decide, writes. */
export async function editServices<T>(
  engine: Engine,
  query: Query,
  now: number,
  config: ClusterConfig | undefined,
  scope: ServiceScope,
  edit: (view: ServiceView) => ServiceEdit<T>,
): Promise<{ result: T; revision: number }> {
  const { put: wanted = [], remove = [], timeouts, result } = edit(
    await view(query, scope, config, now),
  );
  if (wanted.length + remove.length === 0 && timeouts === undefined) {
    return { result, revision: await meta(query, "revision") };
  }
  const revision = await raiseRevision(engine, query);
  await bury(query, [...remove, ...wanted.map(({ name }) => name)], revision, now);
  await put(query, wanted, revision);
  if (timeouts !== undefined) {
    await query(
      `insert into knet_service_timeouts (id, document, revision) values (1, ?1, ?2)
       on conflict (id) do update set document = excluded.document, revision = excluded.revision`,
      [JSON.stringify(timeouts), revision],
    );
  }
  await purgeTombstones(query, "knet_services", "purged_services", now);
  return { result, revision };
}

/** Deletes destinations whose drain is over; names of their services. */
export async function sweepDrained(engine: Engine, query: Query, now: number): Promise<string[]> {
  const rows = await query(
    "delete from knet_destinations where drain_until > 0 and drain_until <= ?1 returning service",
    [now],
  );
  const list = [...new Set(rows.map((row) => String(row.service)))].sort();
  if (list.length === 0) return [];
  const revision = await raiseRevision(engine, query);
  await inParts(
    query,
    names(list),
    (part) => `update knet_services set revision = ?1 where name in (${part})`,
    [revision],
  );
  return list;
}
