/**
 * Virtual and real servers as the kernel has them: what a service comes to on this host, what of it /proc shows, what it hides.
 *
 * @module
 */
import { FORWARDING, type IpvsDestSettings } from "../../../ffi/genl/ipvs_dest.ts";
import type { ProcDest, ProcService } from "../../../ffi/genl/ipvs_proc.ts";
import {
  IPPROTO,
  type IpvsService,
  type IpvsServiceSettings,
  SVC_F,
} from "../../../ffi/genl/ipvs_service.ts";
import type { IpvsDest } from "../../../ffi/genl/ipvs_dest.ts";
import { familyOf, prefixContains } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import {
  type Forward,
  PROTOCOLS,
  type RealServer,
  realServerKey,
  type VirtualServer,
  virtualServerKey,
} from "../../services/service.ts";

/** A real server as the kernel has it. */
export interface KernelDest extends IpvsDestSettings {
  readonly address: string;
  readonly port: number;
}

/** A virtual server as the kernel has it. */
export interface KernelServer extends IpvsServiceSettings {
  readonly key: string;
  readonly family: Family;
  /** IPPROTO_ number. */
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
  readonly dests: ReadonlyMap<string, KernelDest>;
}

/** What decides how packets get to a real server. */
export interface ForwardFacts {
  /** The cluster network. */
  readonly network: string;
  /** This host's part of it. */
  readonly subnet: string;
  /** Public addresses of the other knet hosts. */
  readonly peers: Pick<ReadonlySet<string>, "has"> & Iterable<string>;
}

/**
 * How this host forwards to a real server: as the service says, with one exception. Direct routing hands a packet that is still
 * addressed to the virtual IP to the next host, and if that is a knet host, it holds the same virtual server and balances once more,
 * to anywhere. Hence `dr` to another knet host or a container of it goes through IPIP, which arrives where it was sent; the answer
 * goes straight to the client either way.
 */
export function forwardOf(forward: Forward, address: string, facts: ForwardFacts): number {
  if (forward === "nat") return FORWARDING.masq;
  if (forward === "tunnel" || facts.peers.has(address)) return FORWARDING.tunnel;
  const elsewhere = familyOf(address) === familyOf(facts.network) &&
    prefixContains(facts.network, address) && !prefixContains(facts.subnet, address);
  return elsewhere ? FORWARDING.tunnel : FORWARDING.route;
}

/** What a service comes to in this host's kernel. */
export function kernelServer(server: VirtualServer, facts: ForwardFacts): KernelServer {
  const all = server.family === 4 ? 32 : 128;
  const dests = new Map<string, KernelDest>();
  for (const one of server.realServers) {
    if (!one.withdrawn) dests.set(realServerKey(one), kernelDest(one, facts));
  }
  let flags = server.persistent > 0 ? SVC_F.PERSISTENT : 0;
  if (server.onePacket) flags |= SVC_F.ONEPACKET;
  for (const flag of server.schedulerFlags) {
    flags |= flag.endsWith("-fallback") ? SVC_F.SCHED1 : SVC_F.SCHED2;
  }
  return {
    key: virtualServerKey(server),
    family: server.family,
    protocol: IPPROTO[server.protocol],
    address: server.address,
    port: server.port,
    scheduler: server.scheduler,
    flags,
    timeout: server.persistent,
    netmask: server.persistent > 0 ? server.persistenceNetmask : all,
    dests,
  };
}

function kernelDest(server: RealServer, facts: ForwardFacts): KernelDest {
  const { address, port, weight, upper, lower } = server;
  return {
    address,
    port,
    weight,
    upper,
    lower,
    forward: forwardOf(server.forward, address, facts),
  };
}

/** A virtual server from dumps. */
export function dumpedServer(
  key: string,
  service: IpvsService,
  dests: readonly IpvsDest[],
): KernelServer | undefined {
  if (!("address" in service)) return undefined;
  const { family, protocol, address, port, scheduler, flags, timeout, netmask } = service;
  const servers = dests.map((dest): [string, KernelDest] => [realServerKey(dest), dest]);
  return {
    ...{ key, family, protocol, address, port, scheduler, flags, timeout, netmask },
    dests: new Map(servers),
  };
}

/** Identity of what /proc shows; undefined for a virtual server by firewall mark. */
export function procKey(service: ProcService): string | undefined {
  const protocol = PROTOCOLS.find((name) => name.toUpperCase() === service.protocol);
  return protocol === undefined ? undefined : virtualServerKey({ ...service, protocol });
}

/** A virtual server of which only /proc is known: enough to delete it. */
export function procServer(key: string, service: ProcService): KernelServer {
  const protocol = service.protocol.toLowerCase() as keyof typeof IPPROTO;
  const { family, address, port, scheduler } = service;
  return {
    ...{ key, family, protocol: IPPROTO[protocol], address, port, scheduler },
    flags: 0,
    timeout: 0,
    netmask: 0,
    dests: new Map(),
  };
}

const FORWARD_WORDS = new Map<string, number>([
  ["Masq", FORWARDING.masq],
  ["Tunnel", FORWARDING.tunnel],
  ["Route", FORWARDING.route],
]);

/** Values of CONFIG_HZ (kernel/Kconfig.hz and those of other architectures): /proc shows time-outs in ticks, and not how long one is. */
const TICKS_A_SECOND: ReadonlySet<number> = new Set(
  [24, 48, 64, 100, 128, 200, 250, 256, 300, 500, 512, 1000, 1024, 1200],
);

/**
 * How many ticks this kernel has a second, if a virtual server's persistence is as it should be.
 *
 * @returns undefined if it cannot be; 0 if it has no persistence, which says nothing.
 */
export function ticksOf(wanted: KernelServer, shown: ProcService): number | undefined {
  if (shown.persistent === 0) return 0;
  const ticks = shown.persistent / wanted.timeout;
  return TICKS_A_SECOND.has(ticks) ? ticks : undefined;
}

/** Whether /proc shows a virtual server as it should be, as far as it shows it; of persistence see {@linkcode ticksOf}. */
export function sameVisible(wanted: KernelServer, shown: ProcService): boolean {
  const persistent = (wanted.flags & SVC_F.PERSISTENT) !== 0;
  if (
    wanted.scheduler !== shown.scheduler ||
    (shown.persistent > 0) !== persistent ||
    persistent && shown.netmask !== wanted.netmask ||
    wanted.family === 4 && shown.onePacket !== ((wanted.flags & SVC_F.ONEPACKET) !== 0) ||
    wanted.dests.size !== shown.dests.length
  ) return false;
  return shown.dests.every((dest) => sameVisibleDest(wanted.dests.get(realServerKey(dest)), dest));
}

function sameVisibleDest(wanted: KernelDest | undefined, shown: ProcDest): boolean {
  // A real server on the host itself is Local, however it was asked for.
  return wanted !== undefined && wanted.weight === shown.weight &&
    (shown.forward === "Local" || FORWARD_WORDS.get(shown.forward) === wanted.forward);
}

const hiddenParts = new WeakMap<KernelServer, string>();

/** In one word, what /proc does not show of a virtual server: knet remembers what it wrote. */
export function hiddenPart(server: KernelServer): string {
  let part = hiddenParts.get(server);
  if (part === undefined) hiddenParts.set(server, part = findHidden(server));
  return part;
}

function findHidden(server: KernelServer): string {
  const flags = server.flags & (SVC_F.SCHED1 | SVC_F.SCHED2 | SVC_F.ONEPACKET);
  const thresholds: string[] = [];
  for (const [key, { upper, lower }] of server.dests) {
    if (upper !== 0 || lower !== 0) thresholds.push(`${key}=${upper}/${lower}`);
  }
  return [flags, ...thresholds.sort()].join(" ");
}
