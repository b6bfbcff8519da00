/**
 * What this host makes of each service and each real server, as metrics.
 *
 * @module
 */
import type { RealServerReport, ServiceReport, Traffic } from "../inspect/service_report.ts";
import { realServerKey } from "../services/service.ts";
import { Counter, Gauge, Registry } from "./prom.ts";

/** Services and real servers together that are told one by one: each has up to ten series, and whoever scrapes keeps them all. */
export const MOST_TOLD = 5000;

const SERVICE = ["service"];
const REAL_SERVER = ["service", "real_server"];

/** Makes metrics of one registry. */
class Kit {
  readonly registry = new Registry();

  gauge(name: string, help: string, labelNames: readonly string[]): Gauge {
    return new Gauge({ name: `knet_${name}`, help, labelNames, registers: [this.registry] });
  }

  counter(name: string, help: string, labelNames: readonly string[]): Counter {
    const registers = [this.registry];
    return new Counter({ name: `knet_${name}_total`, help, labelNames, registers });
  }

  /** What IPVS counts; called with what it counted of each. */
  traffic(of: string, what: string, labels: readonly string[]) {
    const ways = [...labels, "direction"];
    const connections = this.counter(`${of}_connections`, `Connections to ${what}.`, labels);
    const packets = this.counter(`${of}_packets`, "Their packets.", ways);
    const bytes = this.counter(`${of}_bytes`, "Their bytes.", ways);
    return (values: Record<string, string>, count: Traffic) => {
      connections.inc(values, count.connections);
      packets.inc({ ...values, direction: "in" }, count.inPackets);
      packets.inc({ ...values, direction: "out" }, count.outPackets);
      bytes.inc({ ...values, direction: "in" }, count.inBytes);
      bytes.inc({ ...values, direction: "out" }, count.outBytes);
    };
  }
}

function serversKit(kit: Kit) {
  const up = kit.gauge("real_server_up", "1 if this host's check passes, 0 if not.", REAL_SERVER);
  const weight = kit.gauge("real_server_weight", "Its weight on this host.", REAL_SERVER);
  const active = kit.gauge(
    "real_server_active_connections",
    "Established connections.",
    REAL_SERVER,
  );
  const inactive = kit.gauge(
    "real_server_inactive_connections",
    "Connections that begin or end; behind UDP all.",
    REAL_SERVER,
  );
  const traffic = kit.traffic("real_server", "a real server", REAL_SERVER);
  return (service: string, one: RealServerReport) => {
    const labels = { service, real_server: realServerKey(one) };
    if (one.health === "up" || one.health === "down") up.set(labels, one.health === "up" ? 1 : 0);
    weight.set(labels, one.weight);
    active.set(labels, one.active);
    inactive.set(labels, one.inactive);
    if (one.traffic !== undefined) traffic(labels, one.traffic);
  };
}

function allOf(services: readonly ServiceReport[]): number {
  return services.reduce((sum, { realServers }) => sum + 1 + realServers.length, 0);
}

/**
 * Metrics of services in Prometheus' text format. In a cluster of more than {@linkcode MOST_TOLD} services and real servers, these say
 * only how many are not told of.
 */
export async function serviceMetrics(services: readonly ServiceReport[]): Promise<string> {
  const kit = new Kit();
  const untold = kit.gauge(
    "services_untold",
    `Services without metrics of their own: those of more than ${MOST_TOLD} with their real servers.`,
    [],
  );
  const isTold = allOf(services) <= MOST_TOLD;
  untold.set(isTold ? 0 : services.length);
  if (!isTold) return await kit.registry.metrics();
  const up = kit.gauge("service_up", "1 if this host's kernel has the service.", SERVICE);
  const servers = kit.gauge(
    "service_real_servers",
    "Real servers of a service, without those that drain.",
    SERVICE,
  );
  const down = kit.gauge(
    "service_real_servers_down",
    "Of these, those that fail this host's check.",
    SERVICE,
  );
  const traffic = kit.traffic("service", "a service, balanced by this host", SERVICE);
  const server = serversKit(kit);
  for (const { name, programmed, realServers, traffic: counted } of services) {
    const labels = { service: name };
    const serving = realServers.filter(({ drain }) => drain === "no");
    up.set(labels, programmed ? 1 : 0);
    servers.set(labels, serving.length);
    down.set(labels, serving.filter(({ health }) => health === "down").length);
    if (counted !== undefined) traffic(labels, counted);
    for (const one of realServers) server(name, one);
  }
  return await kit.registry.metrics();
}
