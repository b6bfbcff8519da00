/**
 * Services in a model of the store.
 *
 * @module
 */
import type { ClusterConfig } from "../../../core/cluster/config.ts";
import { type Destination, NO_TIMEOUTS, type Service } from "../../../core/services/service.ts";
import type {
  ServiceEdit,
  ServiceScope,
  ServiceView,
} from "../../../core/services/service_store.ts";
import { settlingFor } from "../../../core/store/identity.ts";
import type { ModelTables } from "./tables.ts";

const isDrained = (now: number) => ({ draining }: Destination) =>
  draining !== undefined && draining.deadline <= now;

function inScope(tables: ModelTables, scope: ServiceScope): Service[] {
  const all = tables.livingServices();
  if (scope === "all") return all;
  const named = all.filter(({ name }) => scope.names.includes(name));
  const vips = new Set([...scope.vips ?? [], ...named.map(({ vip }) => vip)]);
  return all.filter((one) => named.includes(one) || vips.has(one.vip));
}

/** See `Store.editServices`. */
export function editIn<T>(
  tables: ModelTables,
  config: ClusterConfig | undefined,
  scope: ServiceScope,
  edit: (view: ServiceView) => ServiceEdit<T>,
  now: number,
): { result: T; revision: number } {
  const drained = isDrained(now);
  const hosts = tables.living().filter(({ publicIp }) =>
    scope === "all" || scope.vips?.includes(publicIp)
  );
  const { put = [], remove = [], timeouts, result } = edit({
    services: new Map(
      inScope(tables, scope).map((service) => [
        service.name,
        service.destinations.some(drained)
          ? { ...service, destinations: service.destinations.filter((one) => !drained(one)) }
          : service,
      ]),
    ),
    unread: new Map(),
    timeouts: tables.timeouts?.value ?? NO_TIMEOUTS,
    config,
    hosts: hosts.map(({ nodeName, publicIp }) => ({ nodeName, publicIp })),
    storeHosts: [],
    now,
    settling: settlingFor(tables.counter, now),
  });
  if (put.length + remove.length === 0 && timeouts === undefined) {
    return { result, revision: tables.counter("revision") };
  }
  const revision = tables.raise();
  tables.buryServices([...remove, ...put.map(({ name }) => name)], revision, now);
  tables.putServices(put, revision);
  if (timeouts !== undefined) tables.timeouts = { value: timeouts, revision };
  tables.purgeServices(now);
  return { result, revision };
}

/** See `Store.sweepDrained`. */
export function sweepIn(tables: ModelTables, now: number): string[] {
  const drained = isDrained(now);
  const swept = tables.livingServices().filter(({ destinations }) => destinations.some(drained));
  if (swept.length === 0) return [];
  const left = swept.map((service) => ({
    ...service,
    destinations: service.destinations.filter((one) => !drained(one)),
  }));
  tables.putServices(left, tables.raise());
  return swept.map(({ name }) => name);
}

/** Why no host can be at an address; undefined if one can. */
export function whyNoHostIn(tables: ModelTables, address: string): string | undefined {
  const [first, ...others] = tables.livingServices().filter(({ vip }) => vip === address);
  if (first === undefined) return undefined;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  return `${address} is the virtual IP of service "${first.name}"${more}`;
}
