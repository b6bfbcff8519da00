/**
 * What a model of the store keeps: values in maps, and the counters beside them. No rows that make no sense, as nobody writes here by
 * hand.
 *
 * @module
 */
import type { ClusterConfig } from "../../../core/cluster/config.ts";
import type { Family, Lease } from "../../../core/cluster/lease.ts";
import { compareDestinations, type Service } from "../../../core/services/service.ts";
import type { ServiceTimeouts } from "../../../core/services/service.ts";
import { EmptiedStoreError } from "../../../core/store/emptied.ts";
import { type Counters, newIdentity } from "../../../core/store/identity.ts";
import { SCHEMA_VERSION } from "../../../core/store/migrate.ts";
import { TOMBSTONE_LIFE } from "../../../core/store/revision.ts";

/** Something that is there, or its tombstone. */
export interface Entry<T> {
  readonly value: T;
  readonly revision: number;
  /** When it was deleted, milliseconds since the epoch; 0 while it lives. */
  readonly deleted: number;
}

/** What stands alone. */
export type Single<T> = { readonly value: T; readonly revision: number } | undefined;

const keyOf = ({ nodeId, family }: Pick<Lease, "nodeId" | "family">) => `${nodeId} ${family}`;

/** One state of a store. What it holds is never changed in place, so that a copy of the maps is a copy of all. */
export class ModelTables {
  readonly counters: Map<string, number>;
  readonly leases: Map<string, Entry<Lease>>;
  readonly services: Map<string, Entry<Service>>;
  config: Single<ClusterConfig>;
  timeouts: Single<ServiceTimeouts>;

  constructor(from?: ModelTables) {
    this.counters = new Map(from?.counters);
    this.leases = new Map(from?.leases);
    this.services = new Map(from?.services);
    this.config = from?.config;
    this.timeouts = from?.timeouts;
    if (from === undefined) this.bringUp();
  }

  /** Gives it the counters that it has to have, where they are missing. */
  bringUp(): void {
    const begin = { revision: 0, schema: 0, oldest_reader: 1, purged: 0, purged_services: 0 };
    for (const [name, value] of Object.entries(begin)) {
      if (!this.counters.has(name)) this.counters.set(name, value);
    }
    this.counters.set("schema", SCHEMA_VERSION);
  }

  /** Whether somebody has emptied the counters. */
  get isEmptied(): boolean {
    return this.counter("schema") === 0;
  }

  /** A counter by name. */
  readonly counter: Counters = (name) => this.counters.get(name) ?? 0;

  /** Raises the revision. */
  raise(): number {
    const before = this.counters.get("revision");
    if (before === undefined) throw new EmptiedStoreError();
    this.counters.set("revision", before + 1);
    return before + 1;
  }

  /** Gives it an identity if it has none. */
  identify(): void {
    if (this.isEmptied) throw new EmptiedStoreError();
    if (this.counter("identity") !== 0) return;
    this.counters.set("identity", newIdentity());
    if (!this.counters.has("epoch")) this.counters.set("epoch", 1);
  }

  /** Living leases in the order of their subnets' text. */
  living(family?: Family): Lease[] {
    const found: Lease[] = [];
    for (const { value, deleted } of this.leases.values()) {
      if (deleted === 0 && (family === undefined || value.family === family)) found.push(value);
    }
    return found.sort((a, b) => a.subnet < b.subnet ? -1 : 1);
  }

  /** The living lease of a node. */
  leaseOf(who: Pick<Lease, "nodeId" | "family">): Lease | undefined {
    const entry = this.leases.get(keyOf(who));
    return entry?.deleted === 0 ? entry.value : undefined;
  }

  /** Writes a lease whole. */
  put(lease: Lease): void {
    this.leases.set(keyOf(lease), { value: lease, revision: lease.revision, deleted: 0 });
  }

  /** Deletes a lease, and leaves a tombstone. */
  bury(lease: Lease, revision: number, now: number): void {
    this.leases.set(keyOf(lease), { value: lease, revision, deleted: now });
    purge(this, "leases", "purged", now);
  }

  /** Living services in the order of their names. */
  livingServices(): Service[] {
    return [...this.services.values()].filter(({ deleted }) => deleted === 0)
      .map(({ value }) => value).sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Deletes services, and leaves tombstones. */
  buryServices(names: readonly string[], revision: number, now: number): void {
    for (const name of names) {
      const entry = this.services.get(name);
      if (entry !== undefined) this.services.set(name, { ...entry, revision, deleted: now });
    }
  }

  /** Writes services whole. No two can be at one place: whoever wants to exchange theirs has buried them before. */
  putServices(services: readonly Service[], revision: number): void {
    const placeOf = ({ vip, port, protocol }: Service) => `${vip} ${port} ${protocol}`;
    const taken = new Map(this.livingServices().map((one) => [placeOf(one), one.name]));
    for (const service of services) {
      const holder = taken.get(placeOf(service));
      if (holder !== undefined && holder !== service.name) throw new Error("Two at one place");
      taken.set(placeOf(service), service.name);
      const destinations = service.destinations.toSorted(compareDestinations);
      const value = { ...service, destinations, revision };
      this.services.set(service.name, { value, revision, deleted: 0 });
    }
  }

  /** Forgets tombstones of services that are old enough. */
  purgeServices(now: number): void {
    purge(this, "services", "purged_services", now);
  }
}

function purge(
  tables: ModelTables,
  what: "leases" | "services",
  counter: string,
  now: number,
): void {
  let newest = 0;
  for (const [key, { deleted, revision }] of tables[what]) {
    if (deleted === 0 || deleted >= now - TOMBSTONE_LIFE) continue;
    tables[what].delete(key);
    newest = Math.max(newest, revision);
  }
  if (newest > 0) tables.counters.set(counter, newest);
}
