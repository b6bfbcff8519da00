/**
 * The word and the options that say which service, and what it is.
 *
 * @module
 */
import type { DestinationRequest } from "../../core/services/destination.ts";
import {
  CHECK_DEFAULTS,
  FORWARDS,
  MASQUERADES,
  ON_EMPTY,
  PROTOCOLS,
  SCHEDULER_FLAGS,
  SCHEDULERS,
  SERVICE_DEFAULTS,
} from "../../core/services/service.ts";
import type { ServiceRequest } from "../../core/services/request.ts";
import { formatSpan } from "../../core/base/span.ts";
import type { WordSpec } from "../command.ts";
import { address, choice, integer, milliseconds, span } from "../value_checks.ts";
import { flag, list, type Parsed, value } from "../option_table.ts";

/** The word that names a service. */
export const NAME_WORD: WordSpec = { name: "NAME", help: "Name of the service" };

/** The word that names a service that there is. */
export const EXISTING_WORD: WordSpec = { ...NAME_WORD, complete: "service" };

/** `10.244.1.5:8080,weight=3`. */
export async function destination(input: string): Promise<DestinationRequest> {
  const { parseDestination } = await import("../../core/services/destination.ts");
  return parseDestination(input);
}

async function check(input: string) {
  const { parseCheck } = await import("../../core/services/check_text.ts");
  return parseCheck(input);
}

/** A prefix length, or a netmask as ipvsadm takes it. */
async function netmask(input: string): Promise<number> {
  if (!input.includes(".")) return integer("a prefix length", 1, 128)(input);
  const { prefixLengthOf } = await import("../../core/services/format/ipvsadm_read.ts");
  return prefixLengthOf(input, 4);
}

function schedulerFlags(input: string) {
  return input === "none"
    ? []
    : input.split(",").map(choice("a flag of a scheduler", SCHEDULER_FLAGS));
}

function oneOf<const Word extends string>(
  what: string,
  help: string,
  words: readonly Word[],
  metavar: string,
  fallback: Word,
) {
  return value(metavar, help, choice(what, words), { choices: words, fallback });
}

/** Options of `svc add` and `svc set`. */
export const serviceOptions = {
  vip: value("ADDRESS", "Virtual IP that clients connect to", address),
  port: value("NUMBER", "Port that clients connect to", integer("a port", 1, 65_535)),
  protocol: oneOf(
    "a protocol",
    `Transport protocol: ${PROTOCOLS.join(", ")}`,
    PROTOCOLS,
    "NAME",
    SERVICE_DEFAULTS.protocol,
  ),
  scheduler: oneOf(
    "a scheduler",
    `How a real server is chosen: ${SCHEDULERS.join(", ")}`,
    SCHEDULERS,
    "NAME",
    SERVICE_DEFAULTS.scheduler,
  ),
  "scheduler-flags": value(
    "LIST",
    `Flags of the scheduler, with commas between: ${SCHEDULER_FLAGS.join(", ")}`,
    schedulerFlags,
    { fallback: "none" },
  ),
  forward: oneOf(
    "a forwarding method",
    "How packets reach the real server: nat maps ports, dr and tunnel do not",
    FORWARDS,
    "METHOD",
    SERVICE_DEFAULTS.forward,
  ),
  persistent: value(
    "SECONDS",
    "Keep a client on its real server for so long after its last connection; 0 is not at all",
    span(0),
    { fallback: "0" },
  ),
  "persistence-netmask": value(
    "LENGTH",
    "Take the clients of a network as one for --persistent: its prefix length or netmask",
    netmask,
    { fallback: "32, or 128 for IPv6" },
  ),
  "one-packet": flag("Balance each datagram for itself (udp)"),
  masquerade: oneOf(
    "a choice of masquerading",
    "Which connections get the host's address as their source: auto, always, never",
    MASQUERADES,
    "WHEN",
    SERVICE_DEFAULTS.masquerade,
  ),
  check: value(
    "CHECK",
    'Health check by every host: tcp, http:PATH, https:PATH, udp, dns:NAME or none, and what it shall look at, such as "https:/healthz host=web.example status=200"',
    check,
    { choices: ["tcp", "http", "https", "udp", "dns", "none"], fallback: "none" },
  ),
  "check-interval": value("SPAN", "From one check to the next", milliseconds, {
    fallback: formatSpan(CHECK_DEFAULTS.interval),
  }),
  "check-timeout": value("SPAN", "When a check without an answer has failed", milliseconds, {
    fallback: formatSpan(CHECK_DEFAULTS.timeout),
  }),
  rise: value("COUNT", "Good checks that bring a real server back", integer("a count", 1, 100), {
    fallback: String(CHECK_DEFAULTS.rise),
  }),
  fall: value("COUNT", "Failed checks that take a real server out", integer("a count", 1, 100), {
    fallback: String(CHECK_DEFAULTS.fall),
  }),
  "on-empty": oneOf(
    "a choice",
    "When all real servers fail: keep balances as if none did, reject answers port unreachable",
    ON_EMPTY,
    "CHOICE",
    SERVICE_DEFAULTS.onEmpty,
  ),
  "drain-timeout": value(
    "SPAN",
    "How long a real server that is taken out may keep its connections; 0 is not at all",
    span(0),
    { fallback: formatSpan(SERVICE_DEFAULTS.drainTimeout * 1000) },
  ),
};

/** Options of `svc add` alone. */
export const newServiceOptions = {
  ...serviceOptions,
  to: list(
    "ADDRESS:PORT[,weight=N]",
    "A real server; the port may be left out if it is the service's, and upper=N and lower=N limit its connections",
    destination,
  ),
};

/** The request that options stand for. */
export function requestOf(
  options: Parsed<typeof serviceOptions> & Partial<Parsed<typeof newServiceOptions>>,
): ServiceRequest {
  const pick = <T extends object>(names: Record<string, string>): T =>
    Object.fromEntries(
      Object.entries(names).map(([field, name]) => [
        field,
        options[name as keyof typeof options],
      ]).filter(([, held]) => held !== undefined),
    ) as T;
  const pace = pick<NonNullable<ServiceRequest["check"]>>({
    interval: "check-interval",
    timeout: "check-timeout",
    rise: "rise",
    fall: "fall",
  });
  const said = options.check !== undefined || Object.keys(pace).length > 0;
  return {
    ...pick<ServiceRequest>({
      vip: "vip",
      port: "port",
      protocol: "protocol",
      scheduler: "scheduler",
      schedulerFlags: "scheduler-flags",
      forward: "forward",
      persistent: "persistent",
      persistenceNetmask: "persistence-netmask",
      onePacket: "one-packet",
      masquerade: "masquerade",
      onEmpty: "on-empty",
      drainTimeout: "drain-timeout",
      destinations: "to",
    }),
    ...(said && { check: { ...options.check, ...pace } }),
  };
}
