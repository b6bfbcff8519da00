/**
 * Services and their destinations in the database. A change of a destination is a change of its service: revisions and tombstones
 * are the service's alone.
 *
 * @module
 */
import { and, asc, eq, gt, inArray, lte } from "drizzle-orm";
import { prefixContains } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import { visibleName } from "../base/visible.ts";
import { type Destination, NO_TIMEOUTS, type ServiceTimeouts } from "../services/service.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import type { ServiceEdit, ServiceScope, ServiceView } from "../services/service_store.ts";
import { inParts, readMany } from "./bulk.ts";
import { settlingFor } from "./identity.ts";
import { purgeTombstones, raiseRevision, readCounters, readRevision } from "./revision.ts";
import { bounded, type RowProblem, withinLimit } from "./row_check.ts";
import { destinationTable, leaseTable, serviceTable, timeoutsTable } from "./schema.ts";
import {
  DESTINATION_COLUMNS,
  MOST_DESTINATIONS,
  MOST_SERVICES,
  SERVICE_COLUMNS,
  type ServiceRow,
  TIMEOUTS_COLUMNS,
} from "./service_columns.ts";
import { type JoinedRows, joinRows, timeoutsOf } from "./service_rows.ts";
import { putServices } from "./service_writes.ts";
import type { Transaction } from "./transaction.ts";

type Reader = Pick<Transaction, "db">;

/** Of rows that were not deleted. */
export const live = eq(serviceTable.deleted, 0);

/** What rows are judged by, and where it is said what is wrong with them. */
export interface Judgement {
  /** The cluster's configuration, if it is known. */
  readonly config: ClusterConfig | undefined;
  readonly problems: RowProblem[];
}

/** All that there are. */
export async function allServices(
  tx: Transaction,
  { config, problems }: Judgement,
): Promise<JoinedRows> {
  const services = tx.db.select(SERVICE_COLUMNS).from(serviceTable).where(live)
    .limit(MOST_SERVICES + 1);
  const destinations = tx.db.select(DESTINATION_COLUMNS).from(destinationTable)
    .limit(MOST_DESTINATIONS + 1);
  const limited = <Row>(rows: Row[], most: number, what: string) =>
    withinLimit(rows, most, what, problems);
  return joinRows(
    limited(await readMany(tx, SERVICE_COLUMNS, services), MOST_SERVICES, "services"),
    limited(
      await readMany(tx, DESTINATION_COLUMNS, destinations),
      MOST_DESTINATIONS,
      "real servers",
    ),
    config,
    problems,
  );
}

/** Rows of services joined with their destinations. */
export async function withDestinations(
  { db }: Reader,
  rows: readonly ServiceRow[],
  { config, problems }: Judgement,
): Promise<JoinedRows> {
  const { service } = destinationTable;
  const destinations = await inParts(
    rows.map(({ name }) => name),
    (part) =>
      db.select(DESTINATION_COLUMNS).from(destinationTable).where(inArray(service, part))
        .limit(MOST_DESTINATIONS),
  );
  return joinRows(rows, destinations, config, problems);
}

async function readServices(
  tx: Transaction,
  scope: ServiceScope,
  judgement: Judgement,
): Promise<JoinedRows> {
  const { db } = tx;
  if (scope === "all") return await allServices(tx, judgement);
  const select = () => db.select(SERVICE_COLUMNS).from(serviceTable);
  const named = await inParts(
    scope.names,
    (part) => select().where(and(live, inArray(serviceTable.name, part))),
  );
  const vips = new Set([...scope.vips ?? [], ...named.map(({ vip }) => vip)]);
  const beside = await inParts(
    [...vips],
    (part) => select().where(and(live, inArray(serviceTable.vip, part))).limit(MOST_SERVICES),
  );
  const rows = new Map([...named, ...beside].map((row) => [row.name, row]));
  return await withDestinations({ db }, [...rows.values()], judgement);
}

/** Timeouts; undefined if nobody set them, or not above the revision `since`. */
export async function readTimeouts(
  { db }: Reader,
  problems: RowProblem[],
  since = -1,
): Promise<ServiceTimeouts | undefined> {
  const [row] = await db.select(TIMEOUTS_COLUMNS).from(timeoutsTable)
    .where(gt(timeoutsTable.revision, since)).limit(1);
  if (row === undefined) return undefined;
  const { value, problem } = timeoutsOf(row);
  if (problem !== undefined) problems.push(problem);
  return value;
}

/** All services. */
export async function listServices(tx: Transaction, config: ClusterConfig | undefined) {
  const problems: RowProblem[] = [];
  return {
    services: (await allServices(tx, { config, problems })).services,
    timeouts: await readTimeouts(tx, problems) ?? NO_TIMEOUTS,
    revision: await readRevision(tx),
    now: tx.now,
    problems,
  };
}

/** One service. */
export async function getService(
  tx: Transaction,
  config: ClusterConfig | undefined,
  name: string,
) {
  const problems: RowProblem[] = [];
  const rows = await tx.db.select(SERVICE_COLUMNS).from(serviceTable)
    .where(and(live, eq(serviceTable.name, name)));
  const { services: [service] } = await withDestinations(tx, rows, { config, problems });
  return { service, now: tx.now, problems };
}

/** Why no host can be at an address: each takes a virtual IP as its own, and none could send there. Undefined if one can. */
export async function whyNoHost({ db }: Reader, address: string): Promise<string | undefined> {
  const rows = await db.select({ name: serviceTable.name }).from(serviceTable)
    .where(and(live, eq(serviceTable.vip, address))).orderBy(asc(serviceTable.name));
  return isVipOf(address, rows.map(({ name }) => name));
}

/** Says of which services an address is the virtual IP; undefined if of none. */
export function isVipOf(
  address: string,
  [first, ...others]: readonly string[],
): string | undefined {
  if (first === undefined) return undefined;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  return `${address} is the virtual IP of service "${visibleName(first)}"${more}`;
}

/**
 * A container must not get an address that clients connect to.
 *
 * @throws {KnetError} exit code 4 if a service has a virtual IP in the network.
 */
export async function refuseNetworkOfServices(tx: Transaction, network: string): Promise<void> {
  const { services } = await allServices(tx, { config: undefined, problems: [] });
  const inside = services.filter(({ vip }) => prefixContains(network, vip));
  const [first] = inside;
  if (first === undefined) return;
  const others = inside.length === 1 ? "" : `, and ${inside.length - 1} more are`;
  throw new KnetError(
    `Cannot set up the cluster with network ${network}: the virtual IP ${first.vip} of service ` +
      `"${first.name}" is in it${others}`,
    { exitCode: 4, remedy: "Choose another network, or remove the service first (knet svc rm)" },
  );
}

async function view(
  tx: Transaction,
  scope: ServiceScope,
  config: ClusterConfig | undefined,
  problems: RowProblem[],
  storeHosts: readonly string[],
): Promise<ServiceView> {
  const { db, now } = tx;
  const { services, unread } = await readServices(tx, scope, { config, problems });
  const { publicIp } = leaseTable;
  const held = eq(leaseTable.deleted, 0);
  const hosts = () =>
    db.select({ nodeName: bounded(leaseTable.nodeName), publicIp: bounded(publicIp) })
      .from(leaseTable);
  const drained = ({ draining }: Destination) => draining !== undefined && draining.deadline <= now;
  return {
    services: new Map(services.map((service) => [
      service.name,
      service.destinations.some(drained)
        ? { ...service, destinations: service.destinations.filter((one) => !drained(one)) }
        : service,
    ])),
    unread: new Map(unread.map(({ row, state }) => [row.name, { ...row, state }])),
    timeouts: await readTimeouts(tx, problems) ?? NO_TIMEOUTS,
    config,
    hosts: scope === "all" ? await hosts().where(held) : await inParts(
      scope.vips ?? [],
      (part) => hosts().where(and(held, inArray(publicIp, part))),
    ),
    storeHosts,
    now,
    settling: settlingFor(await readCounters(db), now),
  };
}

/** Takes services out: two of a batch may exchange their addresses, which the index would not allow one by one. */
async function bury({ db, now }: Transaction, names: readonly string[], revision: number) {
  await inParts(
    names,
    (part) =>
      db.update(serviceTable).set({ deleted: now, revision }).where(
        inArray(serviceTable.name, part),
      ),
  );
  await inParts(
    names,
    (part) => db.delete(destinationTable).where(inArray(destinationTable.service, part)),
  );
}

/** Reads, lets `edit` decide, writes. */
export async function editServices<T>(
  tx: Transaction,
  config: ClusterConfig | undefined,
  scope: ServiceScope,
  edit: (view: ServiceView) => ServiceEdit<T>,
  storeHosts: readonly string[] = [],
): Promise<{ result: T; revision: number; problems: RowProblem[] }> {
  const problems: RowProblem[] = [];
  const seen = await view(tx, scope, config, problems, storeHosts);
  const { put = [], remove = [], timeouts, result } = edit(seen);
  if (put.length + remove.length === 0 && timeouts === undefined) {
    return { result, revision: await readRevision(tx), problems };
  }
  const revision = await raiseRevision(tx);
  await bury(tx, [...remove, ...put.map(({ name }) => name)], revision);
  await putServices(tx, put, revision);
  if (timeouts !== undefined) {
    const row = { document: JSON.stringify(timeouts), revision };
    await tx.db.insert(timeoutsTable).values({ id: 1, ...row })
      .onConflictDoUpdate({ target: timeoutsTable.id, set: row });
  }
  await purgeTombstones(tx, serviceTable, "purged_services");
  return { result, revision, problems };
}

/** Deletes destinations whose drain is over; names of their services. */
export async function sweepDrained(tx: Transaction): Promise<string[]> {
  const { service, drainUntil } = destinationTable;
  const rows = await tx.db.delete(destinationTable)
    .where(and(gt(drainUntil, 0), lte(drainUntil, tx.now))).returning({ service });
  const names = [...new Set(rows.map((row) => row.service))].sort();
  if (names.length === 0) return [];
  const revision = await raiseRevision(tx);
  await inParts(
    names,
    (part) => tx.db.update(serviceTable).set({ revision }).where(inArray(serviceTable.name, part)),
  );
  return names;
}
