/**
 * Services and their destinations in the database. A change of a destination is a change of its service: revisions and tombstones
 * are the service's alone.
 *
 * @module
 */
import type { ClusterConfig } from "../cluster/config.ts";
import {
  type Destination,
  NO_TIMEOUTS,
  type Service,
  type ServiceTimeouts,
} from "../services/service.ts";
import type { Engine, Query } from "./engine.ts";
import { meta, purgeTombstones, raiseRevision } from "./revision.ts";
import {
  DESTINATION_COLUMNS,
  inParts,
  joinRows,
  names,
  optionsOf,
  SERVICE_COLUMNS,
} from "./service_rows.ts";
import type { Changes } from "./store.ts";
import type { ServiceEdit, ServiceScope, ServiceView } from "../services/service_store.ts";

async function readServices(query: Query, scope: ServiceScope): Promise<Service[]> {
  if (scope === "all") {
    return joinRows(
      await query(`select ${SERVICE_COLUMNS} from knet_services where deleted = 0`),
      await query(`select ${DESTINATION_COLUMNS} from knet_destinations`),
    );
  }
  const select = `select ${SERVICE_COLUMNS} from knet_services where deleted = 0 and`;
  const named = await inParts(query, names(scope.names), (list) => `${select} name in (${list})`);
  const vips = new Set([...scope.vips ?? [], ...named.map((row) => String(row.vip))]);
  const beside = await inParts(query, names([...vips]), (list) => `${select} vip in (${list})`);
  const rows = new Map([...named, ...beside].map((row) => [String(row.name), row]));
  return joinRows(
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

/** Names of the services at a virtual IP, in their order. */
export async function servicesAt(query: Query, vip: string): Promise<string[]> {
  const rows = await query(
    "select name from knet_services where deleted = 0 and vip = ?1 order by name",
    [vip],
  );
  return rows.map((row) => String(row.name));
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
    services: joinRows(rows.filter((row) => Number(row.deleted) === 0), destinations),
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
      optionsOf(service),
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
