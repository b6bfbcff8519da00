/**
 * How services look: as a table, one in full, and as JSON.
 *
 * @module
 */
import { checkFault, describeCheck, formatCheck, isCheck } from "../../core/services/check.ts";
import { type Destination, realServerKey, type Service } from "../../core/services/service.ts";
import { endpointOf } from "../../core/services/conflicts.ts";
import type {
  RealServerReport,
  ServiceReport,
  Traffic,
} from "../../core/inspect/service_report.ts";
import { formatSpan } from "../../core/base/span.ts";
import { type Cell, duration, pairs, table } from "../output.ts";

/** A service as a stable JSON document; `local` is what this host's agent says of it. */
export function serviceDocument(
  service: Service,
  local?: ServiceReport,
): Record<string, unknown> {
  return {
    ...service,
    check: describeCheck(service.check),
    destinations: service.destinations.map((one) => ({
      ...one,
      draining: one.draining ?? null,
    })),
    local: local ?? null,
  };
}

/** A number for people: 950, 12k, 3.4M. */
export function amount(value: number): string {
  const units = ["", "k", "M", "G", "T"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at++;
  }
  return `${at > 0 && value < 10 ? value.toFixed(1) : Math.round(value)}${units[at]}`;
}

function serverCell(service: Service, local: ServiceReport | undefined): Cell {
  const { destinations } = service;
  const draining = destinations.filter((one) => one.draining !== undefined).length;
  const all = destinations.length - draining;
  const down = local?.realServers.filter(({ health }) => health === "down").length ?? 0;
  const notes = [
    ...(down > 0 ? [`${down} down`] : []),
    ...(draining > 0 ? [`${draining} draining`] : []),
  ];
  const text = `${all}${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
  return down > 0 ? { text, tone: down === all ? "bad" : "warn" } : text;
}

const sum = (list: readonly RealServerReport[], count: (one: RealServerReport) => number) =>
  list.reduce((total, one) => total + count(one), 0);

function trafficCells(local: ServiceReport | undefined): string[] {
  if (local === undefined) return ["", "", ""];
  const rates = local.traffic?.rates;
  return [
    amount(sum(local.realServers, ({ active }) => active)),
    rates === undefined ? "" : amount(rates.connections),
    rates === undefined ? "" : `${amount(rates.inBytes)}/${amount(rates.outBytes)}`,
  ];
}

/** Services in the order of their names as people count. */
export function sorted(services: readonly Service[]): Service[] {
  // localeCompare() looks the language up at each of its calls: half a second for 20,000 services.
  const { compare } = new Intl.Collator("en", { numeric: true });
  return services.toSorted((a, b) => compare(a.name, b.name));
}

/** Services as a table, in the order given; with what the agent says, connections and rates too. */
export function serviceTable(
  services: readonly Service[],
  local: ReadonlyMap<string, ServiceReport> | undefined,
): string {
  const more = local === undefined ? [] : ["state", "active", "conn/s", "bytes/s in/out"];
  return table(
    ["name", "virtual server", "scheduler", "forward", "real servers", ...more],
    services.map((service) => [
      service.name,
      endpointOf(service),
      service.scheduler,
      service.forward,
      serverCell(service, local?.get(service.name)),
      ...(local === undefined
        ? []
        : [standing(local.get(service.name)), ...trafficCells(local.get(service.name))]),
    ]),
  );
}

/** Whether the kernel of this host has a service. */
export function standing(local: ServiceReport | undefined): Cell {
  if (local?.programmed) return { text: "ok", tone: "good" };
  return { text: local?.problem ?? "missing", tone: "bad" };
}

function checkText({ check }: Service): string {
  if (!isCheck(check)) return "none";
  const { interval, timeout, rise, fall } = check;
  const fault = checkFault(check);
  const unknown = fault === undefined ? "" : ` (not done by this knet: ${fault})`;
  return `${formatCheck(check)} every ${formatSpan(interval)}, timeout ${
    formatSpan(timeout)
  }, rise ${rise}, fall ${fall}${unknown}`;
}

function drainText(one: Destination, local: RealServerReport | undefined, now: number): string {
  if (one.draining === undefined) return "";
  if (local?.drain === "drained") return "drained";
  const left = one.draining.deadline - now;
  return left <= 0 ? "drained" : `draining, ${duration(left)} left`;
}

function healthCell(local: RealServerReport | undefined): Cell {
  switch (local?.health) {
    case "up":
      return { text: "up", tone: "good" };
    case "down":
      return { text: local.detail === "" ? "down" : `down: ${local.detail}`, tone: "bad" };
    case "unknown":
      return { text: "unknown", tone: "warn" };
    default:
      return "";
  }
}

const rate = (traffic: Traffic | undefined) =>
  traffic === undefined ? "" : amount(traffic.rates.connections);

/** Real servers of a service as a table. */
export function realServerTable(
  service: Service,
  local: ServiceReport | undefined,
  now: number,
): string {
  const reports = new Map(local?.realServers.map((one) => [realServerKey(one), one]));
  const limited = service.destinations.some(({ upper }) => upper > 0);
  return table(
    [
      "real server",
      "weight",
      ...(limited ? ["upper", "lower"] : []),
      ...(local === undefined ? [] : ["weight here", "health", "active", "inactive", "conn/s"]),
      "note",
    ],
    service.destinations.map((one) => {
      const report = reports.get(realServerKey(one));
      return [
        realServerKey(one),
        String(one.weight),
        ...(limited ? [String(one.upper || ""), String(one.lower || "")] : []),
        ...(local === undefined ? [] : [
          report === undefined || report.drain === "drained" ? "" : String(report.weight),
          healthCell(report),
          report === undefined ? "" : amount(report.active),
          report === undefined ? "" : amount(report.inactive),
          rate(report?.traffic),
        ]),
        [
          drainText(one, report, now),
          report !== undefined && !report.programmed && report.drain !== "drained"
            ? "missing in the kernel"
            : "",
        ].filter(Boolean).join("; "),
      ];
    }),
  );
}

/** One service in full. `now` is the store's clock. */
export function serviceText(
  service: Service,
  local: ServiceReport | undefined,
  now: number,
): string {
  const { persistent, persistenceNetmask, family, schedulerFlags } = service;
  const mask = persistenceNetmask === (family === 4 ? 32 : 128)
    ? ""
    : `, by /${persistenceNetmask} networks`;
  const text = pairs([
    ["name", service.name],
    ["virtual server", endpointOf(service)],
    ["scheduler", [service.scheduler, ...schedulerFlags].join(", ")],
    ["forward", service.forward],
    ["persistent", persistent === 0 ? undefined : `${formatSpan(persistent * 1000)}${mask}`],
    ["one packet", service.onePacket ? "yes" : undefined],
    ["masquerade", service.masquerade],
    ["check", checkText(service)],
    ["on empty", !isCheck(service.check) ? undefined : service.onEmpty],
    ["drain timeout", formatSpan(service.drainTimeout * 1000)],
    ["revision", String(service.revision)],
    ["on this host", local === undefined ? undefined : local.programmed ? "ok" : local.problem],
  ]);
  const servers = service.destinations.length === 0
    ? "No real servers"
    : realServerTable(service, local, now);
  return `${text}\n\n${servers}`;
}
