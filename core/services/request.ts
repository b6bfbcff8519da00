/**
 * From what an administrator says of a service to a whole one.
 *
 * @module
 */
import { addressBits, canonicalAddress, familyOf } from "../base/address.ts";
import { activeCheck, checkFault, isCheck, storedCheck } from "./check.ts";
import { type ActiveCheck, CHECK_DETAILS, type CheckRequest } from "./check_kinds.ts";
import { checkActive } from "./check_rules.ts";
import type { DestinationRequest } from "./destination.ts";
import { type Field, ServiceError } from "./service_error.ts";
import {
  type Check,
  CHECK_DEFAULTS,
  type CheckPace,
  compareDestinations,
  type Destination,
  DESTINATION_DEFAULTS,
  type Forward,
  type Masquerade,
  type OnEmpty,
  type Protocol,
  type Scheduler,
  SCHEDULER_FLAGS,
  type SchedulerFlag,
  type Service,
  SERVICE_DEFAULTS,
} from "./service.ts";
import { checkService, fits } from "./validate.ts";

/** What was said; the rest takes defaults, or stays as it is. */
export interface ServiceRequest {
  readonly vip?: string;
  readonly port?: number;
  readonly protocol?: Protocol;
  readonly scheduler?: Scheduler;
  readonly schedulerFlags?: readonly SchedulerFlag[];
  readonly forward?: Forward;
  readonly persistent?: number;
  readonly persistenceNetmask?: number;
  readonly onePacket?: boolean;
  readonly masquerade?: Masquerade;
  readonly check?: CheckRequest;
  readonly onEmpty?: OnEmpty;
  readonly drainTimeout?: number;
  /** All of them; absent leaves those that there are. */
  readonly destinations?: readonly DestinationRequest[];
}

function readAddress(field: Field, what: string, text: string): string {
  try {
    return canonicalAddress(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ServiceError(
      field,
      `${what} "${text}"`,
      "it is neither an IPv4 nor an IPv6 address",
      "Give an address, not a name",
    );
  }
}

/**
 * The canonical text of a virtual IP.
 *
 * @throws {ServiceError} exit code 2 if it is no address.
 */
export function readVip(text: string): string {
  return readAddress(["vip"], "virtual IP", text);
}

function need<T>(field: string, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new ServiceError([], "the service", `it has no ${field}`, `Give it with --${field}`);
}

/** What a check does beside its pace: all of it anew where a kind was named, else what it did. */
function actionOf(said: CheckRequest): Record<string, unknown> {
  const { type = "none" } = said;
  if (!Object.hasOwn(CHECK_DETAILS, type)) {
    throw new ServiceError(
      ["check"],
      `check "${type}"`,
      "there is no such check",
      `Choose ${Object.keys(CHECK_DETAILS).join(", ")}`,
    );
  }
  return {
    type,
    ...((type === "http" || type === "https") && { path: said.path ?? "/" }),
    ...(type === "dns" && { name: said.name ?? "." }),
    ...Object.fromEntries(
      CHECK_DETAILS[type].flatMap((name) => said[name] === undefined ? [] : [[name, said[name]]]),
    ),
  };
}

/** A check out of what was said of it, over what it is. */
function makeCheck(request: CheckRequest | undefined, base: Check | undefined): Check {
  if (request === undefined && base !== undefined) return base;
  const said: Partial<CheckPace> = {};
  const known: Partial<CheckPace> = base === undefined || !isCheck(base) ? {} : base;
  const pace = { ...CHECK_DEFAULTS };
  for (const name of ["interval", "timeout", "rise", "fall"] as const) {
    if (request?.[name] !== undefined) Object.assign(said, { [name]: request[name] });
    pace[name] = request?.[name] ?? known[name] ?? pace[name];
  }
  // Who wants a check every half second does not want to wait a whole one for it.
  if (said.timeout === undefined && known.timeout === undefined) {
    pace.timeout = Math.min(pace.timeout, pace.interval);
  }
  const before: CheckRequest | undefined = base && activeCheck(base);
  // Of a check that only a newer knet understands, the pace can be changed.
  if (request?.type === undefined && base !== undefined && checkFault(base) !== undefined) {
    return { ...base, ...pace } as Check;
  }
  const action = actionOf(request?.type === undefined ? { ...before, ...request } : request);
  if (action.type !== "none") {
    const active = { ...action, ...pace } as ActiveCheck;
    checkActive(active);
    return storedCheck(active);
  }
  if (Object.keys(said).length === 0) return { type: "none" };
  throw new ServiceError(
    ["check"],
    `a check's ${Object.keys(said).join(" and ")}`,
    "the service has no check",
    "Give --check with it, such as tcp or http:PATH",
  );
}

/** A destination out of what was said of it, over what it is; it does not drain any more. */
export function makeDestination(
  request: DestinationRequest,
  port: number,
  base?: Destination,
  field: Field = [],
): Destination {
  const { weight, upper, lower } = base ?? DESTINATION_DEFAULTS;
  return {
    address: readAddress([...field, "address"], "real server", request.address),
    port: request.port ?? port,
    weight: request.weight ?? weight,
    upper: request.upper ?? upper,
    lower: request.lower ?? lower,
  };
}

/**
 * Destinations of a service that changes in other things. Where ports are not mapped, a real server's is the service's, so it
 * follows. What only drains must not stand in the way of a change: it goes if it does not fit any more.
 */
function keptDestinations(
  base: Service,
  after: Pick<Service, "family" | "forward" | "port">,
): Destination[] {
  const follows = base.forward !== "nat" && after.forward !== "nat";
  return base.destinations
    .filter((one) => one.draining === undefined || fits(after, one))
    .map((one) => follows && one.port === base.port ? { ...one, port: after.port } : one);
}

/**
 * A whole service. With `base`, what was not said stays as it is there.
 *
 * @throws {ServiceError} exit code 2 if it makes none, with the field that is the reason.
 */
export function makeService(name: string, request: ServiceRequest, base?: Service): Service {
  const vip = readVip(need("vip", request.vip ?? base?.vip));
  const family = familyOf(vip);
  const port = need("port", request.port ?? base?.port);
  const scheduler = request.scheduler ?? base?.scheduler ?? SERVICE_DEFAULTS.scheduler;
  const flags = request.schedulerFlags ??
    base?.schedulerFlags.filter((flag) => flag.startsWith(`${scheduler}-`)) ?? [];
  const known = base?.family === family ? base.persistenceNetmask : undefined;
  const { protocol, forward, persistent, onePacket, masquerade, onEmpty, drainTimeout } = {
    ...SERVICE_DEFAULTS,
    ...base,
  };
  const after = { family, port, forward: request.forward ?? forward };
  const service: Service = {
    name,
    vip,
    port,
    family,
    protocol: request.protocol ?? protocol,
    scheduler,
    schedulerFlags: [
      ...SCHEDULER_FLAGS.filter((flag) => flags.includes(flag)),
      ...flags.filter((flag) => !SCHEDULER_FLAGS.includes(flag)),
    ],
    forward: after.forward,
    persistent: request.persistent ?? persistent,
    persistenceNetmask: request.persistenceNetmask ?? known ?? addressBits(family),
    onePacket: request.onePacket ?? onePacket,
    masquerade: request.masquerade ?? masquerade,
    check: makeCheck(request.check, base?.check),
    onEmpty: request.onEmpty ?? onEmpty,
    drainTimeout: request.drainTimeout ?? drainTimeout,
    destinations:
      request.destinations?.map((one, n) =>
        makeDestination(one, port, undefined, ["destinations", n])
      ) ?? (base && keptDestinations(base, after)) ?? [],
    revision: base?.revision ?? 0,
  };
  checkService(service);
  return { ...service, destinations: service.destinations.toSorted(compareDestinations) };
}
