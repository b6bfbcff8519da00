/**
 * From the services that a file describes to the changes of the store that make them so.
 *
 * @module
 */
import { plural } from "../base/plural.ts";
import { KnetError } from "../base/error.ts";
import type { ServiceEdit, ServiceStore, ServiceView } from "./service_store.ts";
import { formatCheck } from "./check.ts";
import { drained } from "./drain.ts";
import { sameService } from "./edit.ts";
import {
  compareDestinations,
  type Destination,
  realServerKey,
  type Service,
  type ServiceTimeouts,
  virtualServerKey,
} from "./service.ts";
import { type Imported, importedName } from "./format/imported.ts";
import { checkClashes, checkFamilies, checkPlaces, checkUnread, endpointOf } from "./conflicts.ts";
import { fits } from "./validate.ts";

/** What shall be. */
export interface Wanted {
  /** Each checked by itself. */
  readonly services: readonly Service[];
  readonly timeouts?: Partial<ServiceTimeouts>;
}

/** What becomes of one service. */
export interface Action {
  readonly action: "create" | "change" | "delete" | "keep";
  readonly name: string;
  /** What changes, in words; empty unless it is "change". */
  readonly changes: readonly string[];
  /** The service afterwards; before, if it is deleted. */
  readonly service: Service;
}

/** All that an apply does. */
export interface ApplyPlan {
  /** In the order of names. */
  readonly actions: readonly Action[];
  /** Timeouts afterwards, if they change. */
  readonly timeouts?: ServiceTimeouts;
  /** Sentences to warn with. */
  readonly warnings: readonly string[];
}

/**
 * Destinations as a service shall have them: those that are wanted, and those that are not, draining. One that drains already
 * goes on doing so.
 */
function mergeDestinations(before: Service, wanted: Service, now: number): Destination[] {
  const keys = new Set(wanted.destinations.map(realServerKey));
  const leaving = before.destinations.filter((one) => !keys.has(realServerKey(one)))
    .map((one) => one.draining === undefined ? drained(wanted, one, wanted.drainTimeout, now) : one)
    // What does not fit the service any more cannot stay in it.
    .filter((one) => one !== undefined && fits(wanted, one)) as Destination[];
  return [...wanted.destinations, ...leaving].sort(compareDestinations);
}

function plainText(name: string, value: unknown): string {
  if (name === "check") return formatCheck(value as Service["check"]);
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(",");
  return String(value);
}

function destinationChanges(before: Service, after: Service): string[] {
  const old = new Map(before.destinations.map((one) => [realServerKey(one), one]));
  const found: string[] = [];
  for (const one of after.destinations) {
    const key = realServerKey(one);
    const was = old.get(key);
    old.delete(key);
    if (was === undefined) {
      found.push(`real server ${key} added, weight ${one.weight}`);
      continue;
    }
    if (was.draining === undefined && one.draining !== undefined) {
      found.push(`real server ${key} drains`);
    } else if (was.draining !== undefined && one.draining === undefined) {
      found.push(`real server ${key} drains no more`);
    }
    for (const field of ["weight", "upper", "lower"] as const) {
      if (was[field] !== one[field]) found.push(`${field} of ${key} ${was[field]} → ${one[field]}`);
    }
  }
  return [...found, ...[...old.keys()].map((key) => `real server ${key} removed`)];
}

/** What differs between two states of a service, in words. */
export function describeChanges(before: Service, after: Service): string[] {
  const found: string[] = [];
  for (const [name, value] of Object.entries(after)) {
    if (name === "destinations" || name === "revision" || name === "family") continue;
    const was = before[name as keyof Service];
    if (JSON.stringify(was) === JSON.stringify(value)) continue;
    const [from, to] = [plainText(name, was), plainText(name, value)];
    found.push(from === to ? `${name} changed` : `${name} ${from} → ${to}`);
  }
  return [...found, ...destinationChanges(before, after)];
}

/**
 * Plans an apply. Pure: the same plan applied twice changes nothing the second time.
 *
 * @param options.prune Delete services that are not wanted.
 * @throws {KnetError} exit code 4 if two services clash or a virtual IP cannot be used.
 */
export function planApply(
  view: ServiceView,
  wanted: Wanted,
  options: { readonly prune: boolean },
): ApplyPlan {
  const actions: Action[] = [];
  const after = new Map(view.services);
  const moved: Service[] = [];
  for (const one of wanted.services) {
    const before = view.services.get(one.name);
    if (before === undefined) {
      actions.push({ action: "create", name: one.name, changes: [], service: one });
      after.set(one.name, one);
      moved.push(one);
      continue;
    }
    const service = {
      ...one,
      destinations: mergeDestinations(before, one, view.now),
      revision: before.revision,
    };
    if (sameService(before, service)) {
      actions.push({ action: "keep", name: one.name, changes: [], service: before });
      continue;
    }
    const changes = describeChanges(before, service);
    actions.push({ action: "change", name: one.name, changes, service });
    after.set(one.name, service);
    if (before.vip !== service.vip) moved.push(service);
  }
  if (options.prune) {
    const names = new Set(wanted.services.map(({ name }) => name));
    for (const service of view.services.values()) {
      if (names.has(service.name)) continue;
      actions.push({ action: "delete", name: service.name, changes: [], service });
      after.delete(service.name);
    }
  }
  actions.sort((a, b) => a.name < b.name ? -1 : 1);
  checkClashes(
    after.values(),
    new Set(actions.filter(({ action }) => action !== "keep").map(({ name }) => name)),
  );
  const written = actions.filter(({ action }) => action === "create" || action === "change")
    .map(({ service }) => service);
  checkUnread(written, view);
  checkFamilies(written, view);
  const warnings = checkPlaces(moved, view);
  const timeouts = { ...view.timeouts, ...wanted.timeouts };
  const retimed = Object.entries(timeouts).some(([name, value]) =>
    view.timeouts[name as keyof ServiceTimeouts] !== value
  );
  return { actions, warnings, ...(retimed && { timeouts }) };
}

/** What the store has to do for a plan. */
export function editOf(plan: ApplyPlan): ServiceEdit<ApplyPlan> {
  return {
    put: plan.actions.filter(({ action }) => action === "create" || action === "change")
      .map(({ service }) => service),
    remove: plan.actions.filter(({ action }) => action === "delete").map(({ name }) => name),
    ...(plan.timeouts && { timeouts: plan.timeouts }),
    result: plan,
  };
}

/**
 * Makes the store hold what is wanted.
 *
 * @param options.dryRun Plan only.
 * @throws {KnetError} exit code 4 as `planApply`; the store is as it was then.
 */
export async function applyServices(
  store: ServiceStore,
  wanted: Wanted,
  options: { readonly prune: boolean; readonly dryRun: boolean },
): Promise<ApplyPlan> {
  const { result } = await store.editServices("all", (view) => {
    const plan = planApply(view, wanted, options);
    return options.dryRun ? { result: plan } : editOf(plan);
  });
  return result;
}

/** One line for each service that changes, and one for each of its changes. */
export function planLines(plan: ApplyPlan): string[] {
  const signs = { create: "+", change: "~", delete: "-", keep: " " };
  const lines: string[] = [];
  for (const { action, name, service, changes } of plan.actions) {
    if (action === "keep") continue;
    const { scheduler, forward, destinations } = service;
    const what = action === "change"
      ? endpointOf(service)
      : `${endpointOf(service)} ${scheduler} ${forward}, ${
        plural(destinations.length, "real server")
      }`;
    lines.push(`${signs[action]} ${name}  ${what}`, ...changes.map((change) => `    ${change}`));
  }
  if (plan.timeouts !== undefined) {
    const { tcp, tcpfin, udp } = plan.timeouts;
    lines.push(`~ timeouts  tcp ${tcp} s, tcpfin ${tcpfin} s, udp ${udp} s`);
  }
  return lines;
}

/**
 * Adds and changes services as another program's file says; a rule for the address, port and protocol of a service that there is changes
 * that one.
 *
 * @throws {KnetError} exit code 4 as `planApply`; the store is as it was then.
 */
export async function importServices(
  store: ServiceStore,
  imported: Imported,
  options: { readonly dryRun: boolean },
): Promise<ApplyPlan> {
  const { result } = await store.editServices("all", (view) => {
    const known = new Map(
      [...view.services.values()].map((one) => [
        virtualServerKey({ ...one, address: one.vip }),
        one,
      ]),
    );
    const services = imported.services.map((one) => {
      const base = known.get(virtualServerKey({ ...one, address: one.vip }));
      const name = base?.name ?? importedName(one);
      if (base === undefined && view.services.has(name)) {
        throw new KnetError(`Cannot import service "${name}": the name is in use`, {
          exitCode: 4,
          remedy: "Remove or change that service first",
        });
      }
      return one.make(name, base);
    });
    const wanted = { services, ...(imported.timeouts && { timeouts: imported.timeouts }) };
    const planned = planApply(view, wanted, { prune: false });
    const plan = { ...planned, warnings: [...imported.warnings, ...planned.warnings] };
    return options.dryRun ? { result: plan } : editOf(plan);
  });
  return result;
}
