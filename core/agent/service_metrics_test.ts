import assert from "node:assert/strict";
import type { RealServerReport, ServiceReport, Traffic } from "../inspect/service_report.ts";
import { MOST_TOLD, serviceMetrics } from "./service_metrics.ts";

const traffic: Traffic = {
  ...{ connections: 5, inPackets: 10, outPackets: 11, inBytes: 1000, outBytes: 2000 },
  rates: { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 },
};

const server = (address: string, more: Partial<RealServerReport> = {}): RealServerReport => ({
  ...{ address, port: 8080, weight: 1, health: "up", detail: "", drain: "no", programmed: true },
  ...{ active: 2, inactive: 3, persistent: 0 },
  ...more,
});

Deno.test("serviceMetrics() tell of each service and real server, by this host's checks", async () => {
  const web: ServiceReport = {
    ...{ name: "web", programmed: true, traffic },
    realServers: [
      server("10.244.0.5", { traffic }),
      server("fd00::5", { health: "down", weight: 0 }),
      server("10.244.0.6", { health: "unchecked" }),
      server("10.244.0.7", { health: "down", drain: "draining", weight: 0 }),
    ],
  };
  const lines = (await serviceMetrics([web, { name: "db", programmed: false, realServers: [] }]))
    .split("\n");
  for (
    const line of [
      "knet_services_untold 0",
      'knet_service_up{service="web"} 1',
      'knet_service_up{service="db"} 0',
      'knet_service_real_servers{service="web"} 3',
      'knet_service_real_servers_down{service="web"} 1',
      'knet_service_real_servers{service="db"} 0',
      'knet_service_connections_total{service="web"} 5',
      'knet_service_bytes_total{service="web",direction="out"} 2000',
      'knet_service_packets_total{service="web",direction="in"} 10',
      'knet_real_server_up{service="web",real_server="10.244.0.5:8080"} 1',
      'knet_real_server_up{service="web",real_server="[fd00::5]:8080"} 0',
      'knet_real_server_weight{service="web",real_server="[fd00::5]:8080"} 0',
      'knet_real_server_active_connections{service="web",real_server="10.244.0.6:8080"} 2',
      'knet_real_server_bytes_total{service="web",real_server="10.244.0.5:8080",direction="in"} 1000',
    ]
  ) assert.ok(lines.includes(line), `${line} in\n${lines.join("\n")}`);
  // What is not known is not said.
  assert.ok(!lines.some((line) => line.startsWith("knet_real_server_up") && line.includes(".6:")));
  assert.ok(!lines.some((line) => line.startsWith("knet_service_bytes") && line.includes("db")));
});

Deno.test("serviceMetrics() of a huge cluster say that they tell nothing", async () => {
  const realServers = Array.from({ length: MOST_TOLD }, () => server("10.244.0.5"));
  const text = await serviceMetrics([{ name: "web", programmed: true, realServers }]);
  assert.match(text, /^knet_services_untold 1$/m);
  assert.doesNotMatch(text, /service_up/);
});
