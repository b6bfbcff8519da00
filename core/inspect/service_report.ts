/**
 * What an agent tells of its services: `knet svc status`, `knet svc ls`.
 *
 * @module
 */
import {
  type Connections,
  type Destination,
  type Protocol,
  realServerKey,
  type Service,
  type ServiceTimeouts,
} from "../services/service.ts";
import { isCheck } from "../services/check.ts";
import type { SeenDown } from "./probe/look.ts";
import type { ServiceMonitor } from "../health/monitor.ts";

/** Counters and rates of the kernel. */
export interface Traffic {
  readonly connections: number;
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inBytes: number;
  readonly outBytes: number;
  /** Per second; the kernel's own moving averages. */
  readonly rates: {
    readonly connections: number;
    readonly inPackets: number;
    readonly outPackets: number;
    readonly inBytes: number;
    readonly outBytes: number;
  };
}

/** One real server on this host. */
export interface RealServerReport extends Connections {
  readonly address: string;
  readonly port: number;
  /** Weight that the kernel shall have: that of the store, or 0. */
  readonly weight: number;
  /** By this host's check. */
  readonly health: "up" | "down" | "unknown" | "unchecked";
  /** Why the last check failed; empty if it passed. */
  readonly detail: string;
  /** "drained": the store still has it, this host's kernel does not any more. */
  readonly drain: "no" | "draining" | "drained";
  /** Whether the kernel has it, with that weight. */
  readonly programmed: boolean;
  readonly persistent: number;
  readonly traffic?: Traffic;
}

/** One service on this host. */
export interface ServiceReport {
  readonly name: string;
  /** Whether the kernel has the virtual server and its address. */
  readonly programmed: boolean;
  /** Why not, in a sentence. */
  readonly problem?: string;
  readonly traffic?: Traffic;
  readonly realServers: readonly RealServerReport[];
}

/** A setting of the kernel that services need. */
export interface SysctlReport {
  readonly name: string;
  readonly value: string;
  /** What knet wants; undefined if it only looks. */
  readonly wanted?: string;
  /** What it was before knet set it. */
  readonly before?: string;
  /** Why it matters, in a sentence. */
  readonly why: string;
}

/** One stable JSON document. */
export interface ServicesReport {
  /** Why no service works on this host, if so: `the kernel has no IPVS (module ip_vs)`. */
  readonly problem?: string;
  /** What this host's firewall does to packets for services, and what to type; absent: nothing that knet knows of and cannot mend. */
  readonly warnings?: readonly string[];
  readonly services: readonly ServiceReport[];
  /** Virtual servers in the kernel that are not knet's. */
  readonly foreign: readonly {
    /** Empty for a firewall mark. */
    readonly address: string;
    readonly port: number;
    readonly protocol: Protocol | "fwmark";
    readonly fwmark?: number;
  }[];
  readonly sysctls: readonly SysctlReport[];
  /** What the kernel has. */
  readonly timeouts?: ServiceTimeouts;
}

/** What the kernel has of a real server. */
export interface KernelRealServer extends Connections {
  readonly weight: number;
  readonly persistent: number;
  readonly traffic?: Traffic;
}

/** What the kernel has of a virtual server, real servers by `realServerKey`. */
export interface KernelVirtualServer {
  readonly realServers: ReadonlyMap<string, KernelRealServer>;
  readonly traffic?: Traffic;
}

function reportDestination(
  monitor: ServiceMonitor,
  service: Service,
  one: Destination,
  kernel: KernelVirtualServer | undefined,
): RealServerReport {
  const key = realServerKey(one);
  const wanted = monitor.virtualServers.get(service.name)?.realServers
    .find((each) => realServerKey(each) === key);
  const has = kernel?.realServers.get(key);
  const health = monitor.health(service, one);
  return {
    address: one.address,
    port: one.port,
    weight: wanted?.weight ?? 0,
    health: health === undefined
      ? "unchecked"
      : !health.up
      ? "down"
      : health.known
      ? "up"
      : "unknown",
    detail: health?.detail ?? "",
    drain: one.draining === undefined ? "no" : wanted === undefined ? "drained" : "draining",
    programmed: wanted?.withdrawn
      ? has === undefined
      : has !== undefined && has.weight === wanted?.weight,
    active: has?.active ?? 0,
    inactive: has?.inactive ?? 0,
    persistent: has?.persistent ?? 0,
    ...(has?.traffic && { traffic: has.traffic }),
  };
}

/**
 * Puts together what the monitor and the kernel know.
 *
 * @param kernelOf What the kernel has of a service; undefined if it has no such virtual server.
 * @param problemOf Why a service is not in the kernel, if somebody knows.
 */
export function reportServices(
  monitor: ServiceMonitor,
  kernelOf: (name: string) => KernelVirtualServer | undefined,
  problemOf: (name: string) => string | undefined = () => undefined,
): ServiceReport[] {
  return [...monitor.services.values()].map((service) => {
    const kernel = kernelOf(service.name);
    const problem = problemOf(service.name);
    return {
      name: service.name,
      programmed: kernel !== undefined,
      ...(problem !== undefined && { problem }),
      ...(kernel?.traffic && { traffic: kernel.traffic }),
      realServers: service.destinations.map((one) =>
        reportDestination(monitor, service, one, kernel)
      ),
    };
  });
}

/** Real servers that one host tells of: more fail only where it is cut off, and then the first say so. */
const MOST_DOWN = 200;
/** Characters of a reason. */
const MOST_REASON = 200;

/** The first real servers that fail this host's checks. What drains is not checked. */
export function seenDown(monitor: Pick<ServiceMonitor, "services" | "health">): SeenDown[] {
  const found: SeenDown[] = [];
  for (const service of monitor.services.values()) {
    if (!isCheck(service.check)) continue;
    for (const one of service.destinations) {
      const health = monitor.health(service, one);
      if (health === undefined || health.up) continue;
      const detail = health.detail.slice(0, MOST_REASON);
      found.push({ service: service.name, realServer: realServerKey(one), detail });
      if (found.length === MOST_DOWN) return found;
    }
  }
  return found;
}
