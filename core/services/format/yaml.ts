/**
 * Reads services in YAML, as `knet svc apply` takes them. Keys are the names of the options of `knet svc add`.
 *
 * @module
 */
import { KnetError, messageOf } from "../../base/error.ts";
import type { Wanted } from "../declare.ts";
import type { CheckRequest } from "../check_kinds.ts";
import { checkTimeouts } from "../validate.ts";
import { makeService, type ServiceRequest } from "../request.ts";
import type { Service, ServiceTimeouts } from "../service.ts";
import { type Field, ServiceError } from "../service_error.ts";
import { lineFinder } from "./yaml_lines.ts";
import { DOCUMENT, Misplaced, SERVICE, shaped } from "./yaml_shape.ts";

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
  const record = shaped(SERVICE, value, path);
  const { name } = record;
  if (name === undefined) throw new Misplaced({ path, message: "the service has no name" });
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
    throw new Misplaced({
      path: [...path, ...pathOf(error.field)],
      message: uncapitalized(error.message),
    });
  }
}

const uncapitalized = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

function readDocument(document: unknown): Wanted {
  const { services: list, timeouts } = shaped(DOCUMENT, document, []);
  if (list === undefined) {
    throw new Misplaced({ path: [], message: 'there is no list "services"' });
  }
  const seen = new Map<string, number>();
  const services = list.map((one, n) => {
    const service = readService(one, ["services", n]);
    if (seen.has(service.name)) {
      throw new Misplaced({
        path: ["services", n, "name"],
        message: `"${service.name}" is there twice`,
      });
    }
    seen.set(service.name, n);
    return service;
  });
  if (timeouts === undefined) return { services };
  try {
    checkTimeouts(timeouts as Partial<ServiceTimeouts>);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new Misplaced({ path: error.field, message: uncapitalized(error.message) });
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
    // valibot goes by the order in which the keys are known here, people from top to bottom.
    const [first] = error.faults
      .map(({ path, message }) => ({ line: lineOf(path), message }))
      .sort((a, b) => a.line - b.line);
    throw refuse(first!.line, first!.message);
  }
}
