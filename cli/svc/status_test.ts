import assert from "node:assert/strict";
import { readServicesReport } from "../../core/inspect/report_shape.ts";
import type { ServicesReport } from "../../core/inspect/service_report.ts";
import { statusText } from "./status.ts";

const report: ServicesReport = {
  services: [{ name: "web", programmed: true, realServers: [] }],
  foreign: [],
  sysctls: [],
};

Deno.test("statusText() says first what the host's firewall does to services, and what to type", () => {
  const warnings = [
    "ufw manages this host's firewall: ufw allow from 10.244.0.0/16 to 10.96.0.0/16",
    "No firewall: forwarding that other rules drop stays dropped",
  ];
  const sent = readServicesReport(JSON.stringify({ ...report, warnings }));
  const text = statusText(sent);
  assert.ok(text.startsWith(`Warning: ${warnings[0]}\n\nWarning: ${warnings[1]}\n\nSERVICE`), text);
  // An agent of an older version does not tell.
  assert.doesNotMatch(statusText(readServicesReport(JSON.stringify(report))), /Warning/);
});
