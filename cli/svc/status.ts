/**
 * `knet svc status`: what this host's agent makes of the services.
 *
 * @module
 */
import { KnetError } from "../../core/base/error.ts";
import { realServerKey } from "../../core/services/service.ts";
import type {
  ServiceReport,
  ServicesReport,
  SysctlReport,
} from "../../core/inspect/service_report.ts";
import { defineCommand } from "../command.ts";
import { type Cell, paint, print, printJson, table } from "../output.ts";
import { flag } from "../option_table.ts";
import { askServices } from "./agent_services.ts";
import { amount, standing } from "./service_view.ts";

/** `knet svc status`. */
export const status = defineCommand({
  name: "svc status",
  summary: "Show what this host balances: kernel, checks, drains, foreign virtual servers",
  about: ["Asks the agent over its socket."],
  words: [],
  options: {
    sysctls: flag("Show and explain the kernel's settings that services depend on"),
    hosts: flag("Ask the agents of all hosts which real servers fail their checks"),
  },
  examples: [
    { line: "knet svc status", about: "is all of it in the kernel?" },
    { line: "knet svc status --sysctls", about: "what knet has set, and why" },
    { line: "knet svc status --hosts", about: "which hosts see a real server down" },
  ],
  run: async ({ options, settings }) => {
    if (options.hosts) {
      const { showHosts } = await import("./seen_down.ts");
      return await showHosts(settings);
    }
    const report = await askServices(settings);
    if (report === undefined) {
      throw new KnetError("Cannot show what this host balances: no agent answers", {
        remedy: "Run knet join; knet svc ls shows what the store holds",
      });
    }
    if (settings.json) printJson(options.sysctls ? { sysctls: report.sysctls } : report);
    else print(options.sysctls ? sysctlText(report.sysctls) : statusText(report));
  },
});

function rows(service: ServiceReport): Cell[][] {
  const head: Cell[] = [service.name, "", standing(service), "", "", "", "", ""];
  return [
    head,
    ...service.realServers.map((one): Cell[] => [
      "",
      realServerKey(one),
      one.drain === "drained"
        ? "drained"
        : one.programmed
        ? { text: "ok", tone: "good" }
        : { text: "missing", tone: "bad" },
      one.drain === "drained" ? "" : String(one.weight),
      one.health === "down"
        ? { text: "down", tone: "bad" }
        : one.health === "unchecked"
        ? ""
        : one.health,
      amount(one.active),
      amount(one.inactive),
      [one.drain === "draining" ? "draining" : "", one.detail].filter(Boolean).join("; "),
    ]),
  ];
}

/** The report for people. */
export function statusText(report: ServicesReport): string {
  const parts: string[] = [];
  if (report.problem !== undefined) parts.push(`${paint("bad", "Problem:")} ${report.problem}`);
  for (const warning of report.warnings ?? []) {
    parts.push(`${paint("warn", "Warning:")} ${warning}`);
  }
  parts.push(
    report.services.length === 0 ? "No services" : table(
      ["service", "real server", "kernel", "weight", "health", "active", "inactive", "note"],
      report.services.flatMap(rows),
    ),
  );
  if (report.foreign.length > 0) {
    parts.push(table(
      ["foreign virtual server", "protocol"],
      report.foreign.map(({ address, port, protocol, fwmark }) => [
        protocol === "fwmark" ? `mark ${fwmark}` : realServerKey({ address, port }),
        protocol,
      ]),
    ));
  }
  return parts.join("\n\n");
}

/** Settings with their reasons. */
export function sysctlText(sysctls: readonly SysctlReport[]): string {
  if (sysctls.length === 0) return "No settings of the kernel are of concern";
  return table(
    ["setting", "value", "wanted", "before", "why"],
    sysctls.map(({ name, value, wanted, before, why }) => [
      name,
      wanted === undefined || wanted === value ? value : { text: value, tone: "warn" },
      wanted ?? "",
      before ?? "",
      why,
    ]),
  );
}
