/**
 * The changes of single services that the commands make, each one transaction.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";
import type { ServiceStore, ServiceView } from "./service_store.ts";
import type { DestinationRequest } from "./destination.ts";
import { drained } from "./drain.ts";
import {
  compareDestinations,
  type Destination,
  realServerKey,
  type Service,
  type ServiceTimeouts,
} from "./service.ts";
import { checkClashes, checkFamilies, checkPlaces, checkUnread, needCluster } from "./conflicts.ts";
import { makeDestination, makeService, readVip, type ServiceRequest } from "./request.ts";
import { checkTimeouts } from "./validate.ts";

/** What a change did. */
export interface Edited {
  readonly service: Service;
  /** False if everything was as it should be. */
  readonly changed: boolean;
  /** Sentences to warn with. */
  readonly warnings: readonly string[];
}

function find(view: ServiceView, name: string, action: string): Service {
  const service = view.services.get(name);
  if (service !== undefined) return service;
  const unread = view.unread.get(name);
  if (unread !== undefined) {
    throw new KnetError(`Cannot ${action} "${name}": this knet cannot use it (${unread.state})`, {
      exitCode: 4,
      remedy: `Correct its row in knet_services, or remove it (knet svc rm ${name})`,
    });
  }
  throw new KnetError(`Cannot ${action} "${name}": there is no such service`, {
    exitCode: 4,
    remedy: "Run knet svc ls to see all",
  });
}

/** Whether two services are the same, their revisions apart. */
export function sameService(a: Service, b: Service): boolean {
  return JSON.stringify({ ...a, revision: 0 }, fixedOrder) ===
    JSON.stringify({ ...b, revision: 0 }, fixedOrder);
}

/** Services come from rows, from commands and from files, their fields in different orders. */
function fixedOrder(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1));
}

function checkAmong(service: Service, view: ServiceView): void {
  checkUnread([service], view);
  checkFamilies([service], view);
  const services = new Map(view.services).set(service.name, service);
  checkClashes(services.values(), new Set([service.name]));
}

/**
 * Adds a service.
 *
 * @throws {KnetError} exit code 2 if the description makes none, 4 if the name is in use or the virtual IP cannot be used.
 */
export async function addService(
  store: ServiceStore,
  name: string,
  request: ServiceRequest,
): Promise<Edited> {
  const service = makeService(name, request);
  const { result } = await store.editServices(
    { names: [name], vips: [service.vip] },
    (view) => {
      needCluster(view.config);
      if (view.services.has(name)) {
        throw new KnetError(`Cannot add service "${name}": the name is in use`, {
          exitCode: 4,
          remedy: "Choose another name, or change that service with knet svc set",
        });
      }
      checkAmong(service, view);
      const warnings = checkPlaces([service], view);
      return { put: [service], result: { service, changed: true, warnings } };
    },
  );
  return result;
}

/** Sentences about real servers that would have drained longer. */
function cutShort(before: Service, after: Service): string[] {
  const kept = new Set(after.destinations.map(realServerKey));
  return before.destinations.filter((one) =>
    one.draining !== undefined && !kept.has(realServerKey(one))
  ).map((one) =>
    `Real server ${realServerKey(one)} was draining and does not fit "${after.name}" any more: ` +
    "it goes now, with its connections"
  );
}

/**
 * Changes what was said of a service.
 *
 * @throws {KnetError} exit code 2 if the description makes none, 4 if there is no such service or its new virtual IP cannot be used.
 */
export async function setService(
  store: ServiceStore,
  name: string,
  request: ServiceRequest,
): Promise<Edited> {
  const vips = request.vip === undefined ? [] : [readVip(request.vip)];
  const { result } = await store.editServices({ names: [name], vips }, (view) => {
    const before = find(view, name, "change service");
    const service = makeService(name, request, before);
    if (sameService(before, service)) {
      return { result: { service: before, changed: false, warnings: [] } };
    }
    checkAmong(service, view);
    const moved = service.vip === before.vip ? [] : checkPlaces([service], view);
    const warnings = [...moved, ...cutShort(before, service)];
    return { put: [service], result: { service, changed: true, warnings } };
  });
  return result;
}

/** A service that is no more. */
export interface Removed {
  readonly name: string;
  /** Absent if it could not be read. */
  readonly service?: Service;
}

/**
 * Removes services, those that cannot be read too.
 *
 * @throws {KnetError} exit code 4 if there is no such service; none is removed then.
 */
export async function removeServices(
  store: ServiceStore,
  names: readonly string[],
): Promise<Removed[]> {
  const { result } = await store.editServices({ names }, (view) => ({
    result: names.map((name) =>
      view.unread.has(name) ? { name } : { name, service: find(view, name, "remove service") }
    ),
    remove: names,
  }));
  return result;
}

/** Replaces the destinations of a service by what `change` makes of them. */
async function editDestinations(
  store: ServiceStore,
  name: string,
  action: string,
  change: (service: Service, now: number) => readonly Destination[],
): Promise<Edited> {
  const { result } = await store.editServices({ names: [name] }, (view) => {
    const before = find(view, name, action);
    const destinations = change(before, view.now).toSorted(compareDestinations);
    const service = { ...before, destinations };
    // Looks at the whole: a new destination may not fit its service.
    makeService(name, {}, service);
    if (sameService(before, service)) {
      return { result: { service: before, changed: false, warnings: [] } };
    }
    return { put: [service], result: { service, changed: true, warnings: [] } };
  });
  return result;
}

/**
 * Adds a destination, or changes its weight and thresholds; one that drains takes new connections again.
 *
 * @throws {KnetError} exit code 2 if it does not fit the service, 4 if there is no such service.
 */
export function putDestination(
  store: ServiceStore,
  name: string,
  request: DestinationRequest,
): Promise<Edited> {
  return editDestinations(store, name, "change service", (service) => {
    const fresh = makeDestination(request, service.port);
    const base = service.destinations.find((one) => realServerKey(one) === realServerKey(fresh));
    const rest = service.destinations.filter((one) => one !== base);
    return [...rest, makeDestination(request, service.port, base)];
  });
}

/**
 * Takes a destination out: it drains, and goes when its connections are gone or the time is over.
 *
 * @param options.timeout Seconds; the default is the service's. 0 takes it out with its connections.
 * @throws {KnetError} exit code 4 if there is no such service or destination.
 */
export function takeOutDestination(
  store: ServiceStore,
  name: string,
  endpoint: { readonly address: string; readonly port?: number },
  options: { readonly timeout?: number } = {},
): Promise<Edited> {
  return editDestinations(store, name, "change service", (service, now) => {
    const key = realServerKey({ address: endpoint.address, port: endpoint.port ?? service.port });
    const found = service.destinations.find((one) => realServerKey(one) === key);
    if (found === undefined) {
      throw new KnetError(`Cannot take ${key} out of "${name}": it has no such real server`, {
        exitCode: 4,
        remedy: `Run knet svc show ${name} to see those that it has`,
      });
    }
    const rest = service.destinations.filter((one) => one !== found);
    // The deadline of one that drains already stays, unless another was asked for.
    if (found.draining !== undefined && options.timeout === undefined) return service.destinations;
    const left = drained(service, found, options.timeout ?? service.drainTimeout, now);
    return left === undefined ? rest : [...rest, left];
  });
}

/**
 * Sets the timeouts of connections on all hosts; those that are left out stay as they are.
 *
 * @throws {KnetError} exit code 2 if one is out of range.
 */
export async function setTimeouts(
  store: ServiceStore,
  timeouts: Partial<ServiceTimeouts>,
): Promise<ServiceTimeouts> {
  checkTimeouts(timeouts);
  const { result } = await store.editServices({ names: [] }, (view) => {
    needCluster(view.config);
    const after = { ...view.timeouts, ...timeouts };
    const { tcp, tcpfin, udp } = view.timeouts;
    const same = after.tcp === tcp && after.tcpfin === tcpfin && after.udp === udp;
    return same ? { result: after } : { timeouts: after, result: after };
  });
  return result;
}
