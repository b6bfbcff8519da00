/**
 * Reads services in YAML, as `knet svc apply` takes them. Keys are the names of the options of `knet svc add`.
 *
 * @module
 */
import { KnetError, messageOf } from "../../base/error.ts";
import { parseSpan } from "../../base/span.ts";
import type { Wanted } from "../declare.ts";
import { checkTimeouts } from "../edit.ts";
import {
  type CheckRequest,
  type DestinationRequest,
  parseCheck,
  parseDestination,
} from "../destination.ts";
import { type Field, ServiceError } from "../service_error.ts";
import {
  type Protocol,
  type Scheduler,
  type SchedulerFlag,
  type Service,
  type ServiceTimeouts,
} from "../service.ts";
import { makeService, type ServiceRequest } from "../request.ts";
import { lineFinder } from "./yaml_lines.ts";

/** What is wrong at a place of the document. */
class Misplaced extends Error {
  readonly path: Field;
  constructor(path: Field, message: string) {
    super(message);
    this.path = path;
  }
}

type Reader<T> = (value: unknown, path: Field) => T;

const shown = (value: unknown) => JSON.stringify(value) ?? String(value);

const asText: Reader<string> = (value, path) => {
  if (typeof value === "string") return value;
  throw new Misplaced(path, `${shown(value)} is not a text`);
};

const asNumber: Reader<number> = (value, path) => {
  if (typeof value === "number" && Number.isInteger(value)) return value;
  throw new Misplaced(path, `${shown(value)} is not a whole number`);
};

const asFlag: Reader<boolean> = (value, path) => {
  if (typeof value === "boolean") return value;
  throw new Misplaced(path, `${shown(value)} is neither true nor false`);
};

/** Milliseconds of `5m`, or of a number of seconds. */
const asSpan: Reader<number> = (value, path) => {
  const span = typeof value === "string" || typeof value === "number"
    ? parseSpan(String(value))
    : undefined;
  if (span !== undefined) return span;
  throw new Misplaced(path, `${shown(value)} is not a span of time: give "5m", "500ms" or seconds`);
};

const asSeconds: Reader<number> = (value, path) => {
  const span = asSpan(value, path);
  if (span % 1000 === 0) return span / 1000;
  throw new Misplaced(path, `${shown(value)} is not a whole number of seconds`);
};

const asList: Reader<unknown[]> = (value, path) => {
  if (Array.isArray(value)) return value;
  throw new Misplaced(path, `${shown(value)} is not a list`);
};

/** Runs a parser of the command line. */
function parsed<T>(parse: (text: string) => T): Reader<T> {
  return (value, path) => {
    const text = asText(value, path);
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new Misplaced(path, error.message);
    }
  };
}

/** Reads a mapping whose keys are known. */
function asRecord<T extends Record<string, Reader<unknown>>>(
  readers: T,
  what: string,
): Reader<{ [Key in keyof T]?: ReturnType<T[Key]> }> {
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Misplaced(path, `${shown(value)} is not ${what}: it has no "name: value" lines`);
    }
    const found: Record<string, unknown> = {};
    for (const [key, held] of Object.entries(value)) {
      const reader = Object.hasOwn(readers, key) ? readers[key] : undefined;
      if (reader === undefined) {
        throw new Misplaced(
          [...path, key],
          `${what} has no "${key}": give ${Object.keys(readers).join(", ")}`,
        );
      }
      found[key] = reader(held, [...path, key]);
    }
    return found as { [Key in keyof T]?: ReturnType<T[Key]> };
  };
}

const destinationRecord = asRecord({
  address: asText,
  port: asNumber,
  weight: asNumber,
  upper: asNumber,
  lower: asNumber,
}, "a real server");

const asDestination: Reader<DestinationRequest> = (value, path) => {
  if (typeof value === "string") return parsed(parseDestination)(value, path);
  const { address, ...rest } = destinationRecord(value, path);
  if (address === undefined) throw new Misplaced(path, "the real server has no address");
  return { address, ...rest };
};

const asDestinations: Reader<DestinationRequest[]> = (value, path) =>
  asList(value, path).map((one, n) => asDestination(one, [...path, n]));

const asFlags: Reader<SchedulerFlag[]> = (value, path) => {
  const list = typeof value === "string" ? value.split(",") : asList(value, path);
  return list.map((one, n) => asText(one, [...path, n]).trim() as SchedulerFlag);
};

const serviceRecord = asRecord({
  name: asText,
  vip: asText,
  port: asNumber,
  protocol: asText as Reader<Protocol>,
  scheduler: asText as Reader<Scheduler>,
  "scheduler-flags": asFlags,
  forward: asText as Reader<Service["forward"]>,
  persistent: asSeconds,
  "persistence-netmask": asNumber,
  "one-packet": asFlag,
  masquerade: asText as Reader<Service["masquerade"]>,
  check: parsed(parseCheck),
  "check-interval": asSpan,
  "check-timeout": asSpan,
  rise: asNumber,
  fall: asNumber,
  "on-empty": asText as Reader<Service["onEmpty"]>,
  "drain-timeout": asSeconds,
  to: asDestinations,
}, "a service");

const documentRecord = asRecord({
  services: asList,
  timeouts: asRecord({ tcp: asSeconds, tcpfin: asSeconds, udp: asSeconds }, "timeouts"),
}, "a document of services");

/** Keys of the document by the fields of a service. */
const KEYS: Record<string, string> = {
  schedulerFlags: "scheduler-flags",
  persistenceNetmask: "persistence-netmask",
  onePacket: "one-packet",
  onEmpty: "on-empty",
  drainTimeout: "drain-timeout",
  destinations: "to",
  "check.interval": "check-interval",
  "check.timeout": "check-timeout",
  "check.rise": "rise",
  "check.fall": "fall",
  "check.path": "check",
};

function pathOf(field: Field): Field {
  const [first, ...rest] = field;
  if (first === "check" && rest.length > 0) return [KEYS[`check.${rest[0]}`]!];
  return first === undefined ? [] : [KEYS[first] ?? first, ...rest];
}

function withoutAbsent<T extends object>(record: T): T {
  return Object.fromEntries(
    Object.entries(record).filter(([, value]) => value !== undefined),
  ) as T;
}

function readService(value: unknown, path: Field): Service {
  const record = serviceRecord(value, path);
  const { name } = record;
  if (name === undefined) throw new Misplaced(path, "the service has no name");
  const check: CheckRequest = withoutAbsent({
    ...record.check,
    interval: record["check-interval"],
    timeout: record["check-timeout"],
    rise: record.rise,
    fall: record.fall,
  }) as CheckRequest;
  const request = withoutAbsent({
    vip: record.vip,
    port: record.port,
    protocol: record.protocol,
    scheduler: record.scheduler,
    schedulerFlags: record["scheduler-flags"],
    forward: record.forward,
    persistent: record.persistent,
    persistenceNetmask: record["persistence-netmask"],
    onePacket: record["one-packet"],
    masquerade: record.masquerade,
    check,
    onEmpty: record["on-empty"],
    drainTimeout: record["drain-timeout"],
    destinations: record.to,
  }) as ServiceRequest;
  try {
    return makeService(name, request);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new Misplaced([...path, ...pathOf(error.field)], uncapitalized(error.message));
  }
}

const uncapitalized = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

function readDocument(document: unknown): Wanted {
  const { services: list, timeouts } = documentRecord(document, []);
  if (list === undefined) throw new Misplaced([], 'there is no list "services"');
  const seen = new Map<string, number>();
  const services = list.map((one, n) => {
    const service = readService(one, ["services", n]);
    if (seen.has(service.name)) {
      throw new Misplaced(["services", n, "name"], `"${service.name}" is there twice`);
    }
    seen.set(service.name, n);
    return service;
  });
  if (timeouts === undefined) return { services };
  try {
    checkTimeouts(timeouts as Partial<ServiceTimeouts>);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new Misplaced(error.field, uncapitalized(error.message));
  }
  return { services, timeouts: timeouts as Partial<ServiceTimeouts> };
}

/**
 * Reads services.
 *
 * @param source What to call the text in messages.
 * @throws {KnetError} exit code 2, naming the line.
 */
export async function readServicesYaml(text: string, source: string): Promise<Wanted> {
  const { parseDocument, LineCounter } = await import("yaml");
  const refuse = (
    line: number,
    state: string,
    remedy = "Compare with what knet svc export prints",
  ) =>
    new KnetError(`Cannot read services from ${source}: line ${line}: ${state}`, {
      exitCode: 2,
      remedy,
    });
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const [malformed] = document.errors;
  if (malformed !== undefined) {
    const { line } = lineCounter.linePos(malformed.pos[0]);
    // The library's message speaks to programmers.
    throw malformed.code === "MULTIPLE_DOCS"
      ? refuse(line, "another document begins here", "Put all services in one document")
      : refuse(line, uncapitalized(malformed.message));
  }
  const lineOf = lineFinder(document, lineCounter);
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    throw refuse(1, uncapitalized(messageOf(error)));
  }
  try {
    return readDocument(value);
  } catch (error) {
    if (!(error instanceof Misplaced)) throw error;
    throw refuse(lineOf(error.path), error.message);
  }
}
