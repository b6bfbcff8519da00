/**
 * What a service may be, looked at by itself: each rule has its own message.
 *
 * @module
 */
import { addressBits } from "../base/address.ts";
import { whyNoHostAddress } from "../base/special_address.ts";
import { visibleName } from "../base/visible.ts";
import { checkCheck } from "./check_rules.ts";
import { type Field, ServiceError } from "./service_error.ts";
import {
  type Destination,
  FORWARDS,
  MASQUERADES,
  ON_EMPTY,
  PROTOCOLS,
  realServerKey,
  SCHEDULER_FLAGS,
  SCHEDULERS,
  type Service,
  type ServiceTimeouts,
} from "./service.ts";

/** linux/ip_vs.h has weights as int; the kernel's schedulers multiply them, ipvsadm allows this much. */
export const MOST_WEIGHT = 65_535;
/** Of a threshold. */
export const MOST_U32 = 2 ** 32 - 1;
/** Seconds; ipvsadm's limit, 31 days. In jiffies the kernel keeps it unsigned, so that it may be above the limit of timeouts. */
const MOST_PERSISTENT = 31 * 86_400;
/** Seconds. */
const MOST_DRAIN = 7 * 86_400;

function checkAddress(field: Field, what: string, address: string): void {
  const state = whyNoHostAddress(address);
  if (state === undefined) return;
  throw new ServiceError(field, `${what} ${address}`, `it is ${state}`, "Choose another one");
}

function checkRange(
  field: Field,
  what: string,
  value: number,
  min: number,
  max: number,
  of = "",
): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new ServiceError(
    field,
    `${what}${Number.isNaN(value) ? "" : ` ${value}`}${of === "" ? "" : ` of ${of}`}`,
    `it is not a whole number between ${min} and ${max}`,
    "Choose another one",
  );
}

function checkChoice(field: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new ServiceError(
    [field],
    `${field} "${visibleName(value)}"`,
    `there is no such ${field}`,
    `Choose ${choices.join(", ")}`,
  );
}

/**
 * Checks a name of a service.
 *
 * @throws {ServiceError} exit code 2.
 */
export function checkServiceName(name: string): void {
  if (/^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/i.test(name)) return;
  throw new ServiceError(
    ["name"],
    `the name "${visibleName(name)}"`,
    "it is not 1 to 63 letters, digits, dots, dashes and underscores, with a letter or digit at both ends",
    "Choose another name",
  );
}

/** Whether a destination, right by itself, can be one of its service: of the same family, and of the same port unless that is mapped. */
export function fits(
  { family, forward, port }: Pick<Service, "family" | "forward" | "port">,
  one: Pick<Destination, "address" | "port">,
): boolean {
  return one.address.includes(":") === (family === 6) && (forward === "nat" || one.port === port);
}

/**
 * Checks a destination of a service, the other ones apart.
 *
 * @throws {ServiceError} exit code 2.
 */
export function checkDestination(
  service: Pick<Service, "family" | "vip" | "port" | "forward">,
  one: Destination,
  field: Field = [],
): void {
  const key = realServerKey(one);
  checkRange([...field, "port"], "port", one.port, 1, 65_535, `real server ${one.address}`);
  if (one.address.includes(":") !== (service.family === 6)) {
    throw new ServiceError(
      [...field, "address"],
      `real server ${key}`,
      `the virtual IP ${service.vip} is of IPv${service.family}, and IPVS does not translate`,
      `Give an IPv${service.family} address`,
    );
  }
  checkAddress([...field, "address"], "real server", one.address);
  if (one.address === service.vip) {
    throw new ServiceError(
      [...field, "address"],
      `real server ${key}`,
      "it is the virtual IP itself",
      "Give the address of the server behind it",
    );
  }
  if (service.forward !== "nat" && one.port !== service.port) {
    throw new ServiceError(
      [...field, "port"],
      `real server ${key}`,
      `forwarding by ${service.forward} leaves the port as it is, and the service's is ${service.port}`,
      `Give the real server port ${service.port}, or use --forward nat`,
    );
  }
  checkRange([...field, "weight"], "weight", one.weight, 0, MOST_WEIGHT, key);
  checkRange([...field, "upper"], "upper threshold", one.upper, 0, MOST_U32, key);
  checkRange([...field, "lower"], "lower threshold", one.lower, 0, MOST_U32, key);
  if (one.lower > one.upper) {
    throw new ServiceError(
      [...field, "lower"],
      `lower threshold ${one.lower} of ${key}`,
      one.upper === 0 ? "there is no upper threshold" : `it is above the upper one, ${one.upper}`,
      "Give an upper threshold that is not below it",
    );
  }
}

function checkDestinations(service: Service): void {
  const seen = new Set<string>();
  service.destinations.forEach((one, n) => {
    checkDestination(service, one, ["destinations", n]);
    const key = realServerKey(one);
    if (seen.has(key)) {
      throw new ServiceError(
        ["destinations", n],
        `real server ${key}`,
        "the service has it twice",
        "Leave one of them out",
      );
    }
    seen.add(key);
  });
}

function checkFlags({ scheduler, schedulerFlags }: Service): void {
  for (const flag of schedulerFlags) {
    if (!SCHEDULER_FLAGS.includes(flag)) {
      throw new ServiceError(
        ["schedulerFlags"],
        `scheduler flag "${visibleName(flag)}"`,
        "there is no such flag",
        `Choose ${SCHEDULER_FLAGS.join(", ")}`,
      );
    }
    if (!flag.startsWith(`${scheduler}-`)) {
      throw new ServiceError(
        ["schedulerFlags"],
        `scheduler flag "${flag}"`,
        `it is not one of scheduler ${scheduler}`,
        `Leave it out, or use --scheduler ${flag.slice(0, 2)}`,
      );
    }
  }
}

/** A word that a newer knet may have; IP_VS_SCHEDNAME_MAXLEN of linux/ip_vs.h is 16 with the end. */
const WORD = /^[a-z][a-z0-9_-]{0,14}$/;

function checkWords({ scheduler, schedulerFlags }: Service): void {
  for (const word of [scheduler, ...schedulerFlags]) {
    if (WORD.test(word)) continue;
    throw new ServiceError(["scheduler"], `"${visibleName(word)}"`, "it is no scheduler", "");
  }
}

/** What a service may be, its destinations apart. */
function checkItself(service: Service, checkScheduler: (service: Service) => void): void {
  checkServiceName(service.name);
  checkAddress(["vip"], "virtual IP", service.vip);
  checkRange(["port"], "port", service.port, 1, 65_535);
  checkChoice("protocol", service.protocol, PROTOCOLS);
  checkScheduler(service);
  checkChoice("forward", service.forward, FORWARDS);
  checkChoice("masquerade", service.masquerade, MASQUERADES);
  checkChoice("onEmpty", service.onEmpty, ON_EMPTY);
  checkRange(["persistent"], "persistent", service.persistent, 0, MOST_PERSISTENT);
  checkRange(
    ["persistenceNetmask"],
    "persistence netmask /",
    service.persistenceNetmask,
    1,
    addressBits(service.family),
  );
  checkRange(["drainTimeout"], "drain timeout", service.drainTimeout, 0, MOST_DRAIN);
  if (service.onePacket && service.protocol !== "udp") {
    throw new ServiceError(
      ["onePacket"],
      "one-packet scheduling",
      `the service's protocol is ${service.protocol}`,
      "Leave it out: only udp has it",
    );
  }
  if (service.masquerade === "always" && service.forward !== "nat") {
    throw new ServiceError(
      ["masquerade"],
      'masquerade "always"',
      `forwarding by ${service.forward} leaves the client's address as it is`,
      "Leave it out, or use --forward nat",
    );
  }
  checkCheck(service.check);
}

/**
 * Checks a service by itself.
 *
 * @throws {ServiceError} exit code 2, with the field that is the reason.
 */
export function checkService(service: Service): void {
  checkItself(service, () => {
    checkChoice("scheduler", service.scheduler, SCHEDULERS);
    checkFlags(service);
  });
  checkDestinations(service);
}

/**
 * Checks a service that somebody else wrote, its destinations apart. A newer knet may know more schedulers: whether the kernel has one
 * is for the kernel to say.
 *
 * @throws {ServiceError} exit code 2, with the field that is the reason.
 */
export function checkReadService(service: Service): void {
  checkItself(service, checkWords);
}

/** Seconds, 24 days. The kernel refuses more than INT_MAX jiffies: 24.8 days where it has 1000 a second. */
const MOST_TIMEOUT = 24 * 86_400;

/**
 * Checks timeouts of connections.
 *
 * @throws {ServiceError} exit code 2.
 */
export function checkTimeouts(timeouts: Partial<ServiceTimeouts>): void {
  for (const [name, value] of Object.entries(timeouts)) {
    if (Number.isInteger(value) && value >= 0 && value <= MOST_TIMEOUT) continue;
    throw new ServiceError(
      ["timeouts", name],
      `timeout ${name} ${value}`,
      `it is not a whole number of seconds between 0 and ${MOST_TIMEOUT}, which is 24 days`,
      "Give 0 to leave the kernel's own",
    );
  }
}
