/**
 * Services as the kernel shows them: for `status` and `svc ls`. Pure.
 *
 * @module
 */
import type { ProcService } from "../../../ffi/genl/ipvs_proc.ts";
import { procKey } from "./kernel_server.ts";
import {
  type Connections,
  realServerKey,
  type VirtualServer,
  virtualServerKey,
} from "../../services/service.ts";

/** Connections of a real server, with what else the kernel shows of it. */
export interface Connection extends Connections {
  readonly weight: number;
  /** `Masq`, `Tunnel`, `Route` or `Local`. */
  readonly forward: string;
}

/** How a service is in this host's kernel. */
export interface ServiceRow {
  /** Name of the service; undefined for a virtual server that is not knet's. */
  readonly service: string | undefined;
  /** Key of the virtual server: address, port, protocol; `FWM n` for one by firewall mark. */
  readonly key: string;
  /** "blocked": somebody else's virtual server has its place. */
  readonly state: "ok" | "missing" | "blocked" | "foreign";
  readonly scheduler: string;
  /** Whether the virtual IP is bound. */
  readonly vip: boolean;
  /** By address and port. */
  readonly realServers: ReadonlyMap<string, Connection>;
}

/** Connections by the keys of virtual and real server. */
export function connectionsOf(shown: readonly ProcService[]): Map<string, Map<string, Connection>> {
  const all = new Map<string, Map<string, Connection>>();
  for (const service of shown) {
    all.set(procKey(service) ?? `${service.protocol} ${service.port}`, realServers(service));
  }
  return all;
}

function realServers(service: ProcService | undefined): Map<string, Connection> {
  return new Map(
    service?.dests.map((dest) => [realServerKey(dest), {
      active: dest.activeConnections,
      inactive: dest.inactiveConnections,
      weight: dest.weight,
      forward: dest.forward,
    }]),
  );
}

/** Rows of all services, and behind them those of virtual servers that the store does not know. */
export function serviceRows(
  servers: readonly VirtualServer[],
  shown: readonly ProcService[],
  facts: { readonly blocked: ReadonlySet<string>; readonly vips: ReadonlySet<string> },
): ServiceRow[] {
  const rest = new Map<string, ProcService>();
  for (const one of shown) rest.set(procKey(one) ?? `${one.protocol} ${one.port}`, one);
  const rows: ServiceRow[] = [];
  for (const server of servers) {
    const key = virtualServerKey(server);
    const present = rest.get(key);
    rest.delete(key);
    rows.push({
      service: server.service,
      key,
      state: facts.blocked.has(key) ? "blocked" : present === undefined ? "missing" : "ok",
      scheduler: present?.scheduler ?? server.scheduler,
      vip: facts.vips.has(server.address),
      realServers: realServers(present),
    });
  }
  for (const [key, one] of rest) {
    rows.push({
      ...{ service: undefined, key, state: "foreign", scheduler: one.scheduler },
      vip: facts.vips.has(one.address),
      realServers: realServers(one),
    });
  }
  return rows;
}
