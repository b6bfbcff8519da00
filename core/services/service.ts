/**
 * What a service is: in the store, and as the kernel shall hold it. Types and defaults only; nothing here has an effect.
 *
 * @module
 */
import type { Family } from "../cluster/lease.ts";

/** Transport protocols that IPVS balances. */
export const PROTOCOLS = ["tcp", "udp", "sctp"] as const;
/** A transport protocol. */
export type Protocol = typeof PROTOCOLS[number];

/** Schedulers of the kernel, `ip_vs_NAME` each (linux/net/netfilter/ipvs). */
export const SCHEDULERS = [
  "rr",
  "wrr",
  "lc",
  "wlc",
  "lblc",
  "lblcr",
  "dh",
  "sh",
  "sed",
  "nq",
  "fo",
  "ovf",
  "mh",
] as const;
/** How a real server is chosen for a new connection. */
export type Scheduler = typeof SCHEDULERS[number];

/**
 * Flags of schedulers, by the names of ipvsadm. In linux/ip_vs.h `*-fallback` is IP_VS_SVC_F_SCHED1 and `*-port`
 * IP_VS_SVC_F_SCHED2, whichever the scheduler.
 */
export const SCHEDULER_FLAGS = ["sh-fallback", "sh-port", "mh-fallback", "mh-port"] as const;
/** A flag of a scheduler; it belongs to the scheduler whose name it begins with. */
export type SchedulerFlag = typeof SCHEDULER_FLAGS[number];

/** Forwarding methods. */
export const FORWARDS = ["nat", "dr", "tunnel"] as const;
/** How packets reach the real server: rewritten, by its MAC address, or within IPIP. */
export type Forward = typeof FORWARDS[number];

/** Choices of masquerading. */
export const MASQUERADES = ["auto", "always", "never"] as const;
/**
 * Which connections to a service get this host's address as their source (`nat` only): `auto` those whose answers would not
 * come back through this host, `always` all, `never` none.
 */
export type Masquerade = typeof MASQUERADES[number];

/** Choices for a service whose real servers all fail. */
export const ON_EMPTY = ["keep", "reject"] as const;
/**
 * What becomes of a service when the checks of all its real servers fail on a host: `keep` balances as if none failed,
 * `reject` gives all weight 0, and the kernel answers "port unreachable".
 */
export type OnEmpty = typeof ON_EMPTY[number];

/** How often and how patiently a check looks. */
export interface CheckPace {
  /** Milliseconds from one check to the next. */
  readonly interval: number;
  /** Milliseconds after which a check without an answer has failed. */
  readonly timeout: number;
  /** Good checks in a row that bring a failing real server back. */
  readonly rise: number;
  /** Failed checks in a row that take a real server out. */
  readonly fall: number;
}

/**
 * A check that says more than the first knet with checks could: as text (`check_text.ts`). Those that do not know it take it for none
 * and keep it, where they do not edit the service itself.
 */
export interface WrittenCheck extends CheckPace {
  readonly type: "none";
  readonly text: string;
}

/** Health check of a service's real servers, done by each host for itself. */
export type Check =
  | { readonly type: "none" }
  | WrittenCheck
  /** Passes when a connection is accepted. */
  | { readonly type: "tcp" } & CheckPace
  /** Passes when `GET path` is answered by a status from 200 to 399. */
  | { readonly type: "http"; readonly path: string } & CheckPace;

/** A real server of a service. Its identity within the service is address and port. */
export interface Destination {
  /** Canonical address of the service's family. */
  readonly address: string;
  readonly port: number;
  /** 0 to 65535; 0 takes no new connections. */
  readonly weight: number;
  /** Connections above which it takes no new ones; 0 is no limit. */
  readonly upper: number;
  /** Connections below which it takes new ones again after `upper` was reached; 0 lets the kernel choose (3/4 of `upper`). */
  readonly lower: number;
  /** Set while it drains: weight 0 everywhere, then gone. */
  readonly draining?: {
    /** Milliseconds since the epoch on the store's clock after which it goes with the connections that it has. */
    readonly deadline: number;
  };
}

/** A service as the store holds it. Its identity is the name. */
export interface Service {
  readonly name: string;
  /** Canonical address that clients connect to. */
  readonly vip: string;
  readonly port: number;
  /** That of `vip` and of all destinations. */
  readonly family: Family;
  readonly protocol: Protocol;
  readonly scheduler: Scheduler;
  /** In the order of `SCHEDULER_FLAGS`, those of `scheduler` only. */
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly forward: Forward;
  /** Seconds for which a client stays with its real server; 0 is not at all. */
  readonly persistent: number;
  /** Prefix length of the networks whose clients count as one for `persistent`: 32 or 128 is each for itself. */
  readonly persistenceNetmask: number;
  /** One-packet scheduling: each datagram is balanced for itself (udp only). */
  readonly onePacket: boolean;
  readonly masquerade: Masquerade;
  readonly check: Check;
  readonly onEmpty: OnEmpty;
  /** Seconds that a draining real server may keep its connections. */
  readonly drainTimeout: number;
  /** In the order of address and port. */
  readonly destinations: readonly Destination[];
  /** The store's revision at which the service or one of its destinations changed last. */
  readonly revision: number;
}

/** Timeouts of IPVS connections, the same on all hosts; seconds, 0 leaves the kernel's as they are. */
export interface ServiceTimeouts {
  readonly tcp: number;
  /** After a FIN. */
  readonly tcpfin: number;
  readonly udp: number;
}

/** Timeouts that nobody set: the kernel's own. */
export const NO_TIMEOUTS: ServiceTimeouts = { tcp: 0, tcpfin: 0, udp: 0 };

/** What a service is where its administrator did not say. */
export const SERVICE_DEFAULTS = {
  protocol: "tcp",
  scheduler: "rr",
  forward: "nat",
  persistent: 0,
  onePacket: false,
  masquerade: "auto",
  onEmpty: "keep",
  drainTimeout: 300,
} as const satisfies Partial<Service>;

/** What a destination is where its administrator did not say. */
export const DESTINATION_DEFAULTS = { weight: 1, upper: 0, lower: 0 } as const;

/** Pace of a check where its administrator did not say. */
export const CHECK_DEFAULTS: CheckPace = { interval: 2000, timeout: 1000, rise: 2, fall: 2 };

/** Connections that the kernel counts for a real server. */
export interface Connections {
  /** Established. */
  readonly active: number;
  /** On their way in or out: SYN, FIN, TIME_WAIT; for udp all. */
  readonly inactive: number;
}

/** A real server as the kernel shall hold it. */
export interface RealServer {
  readonly address: string;
  readonly port: number;
  readonly forward: Forward;
  /** The store's weight, or 0 while it drains or this host's check of it fails. */
  readonly weight: number;
  readonly upper: number;
  readonly lower: number;
  /** Whether it drains. */
  readonly draining: boolean;
  /**
   * The kernel shall not hold it while this host's check of it fails: of a protocol without connections, weight 0 would keep each
   * client that goes on sending with it for good.
   */
  readonly withdrawn?: boolean;
}

/** A virtual server as the kernel shall hold it. */
export interface VirtualServer {
  /** Name of the service it stands for. */
  readonly service: string;
  readonly family: Family;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly scheduler: Scheduler;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly persistent: number;
  readonly persistenceNetmask: number;
  readonly onePacket: boolean;
  readonly masquerade: Masquerade;
  readonly realServers: readonly RealServer[];
}

/** All that this host's kernel shall hold of services. */
export interface ServicesDesired {
  readonly virtualServers: readonly VirtualServer[];
  readonly timeouts: ServiceTimeouts;
  /** They are from a snapshot, which may lack what came after it was written: nothing is taken away for not being among them. */
  readonly partial?: boolean;
}

/** Whether packets reach the real servers as they are, by direct routing or tunnel; that is the same for all of a service. */
export function isDirect(
  { realServers: [first] }: { readonly realServers: readonly { readonly forward: Forward }[] },
): boolean {
  return first !== undefined && first.forward !== "nat";
}

/** Identity of a virtual server, with its address first so that addresses sort together. */
export function virtualServerKey(
  one: { readonly address: string; readonly port: number; readonly protocol: Protocol },
): string {
  return `${one.address} ${one.port} ${one.protocol}`;
}

/** Identity of a real server within its virtual server: `10.244.1.5:80`, `[fd00::5]:80`. */
export function realServerKey(one: { readonly address: string; readonly port: number }): string {
  return one.address.includes(":") ? `[${one.address}]:${one.port}` : `${one.address}:${one.port}`;
}

/** The order in which a service's destinations stand: by the address's text, then by port. */
export function compareDestinations(
  a: Pick<Destination, "address" | "port">,
  b: Pick<Destination, "address" | "port">,
): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}
