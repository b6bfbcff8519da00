/**
 * Published ports in knet's nftables table: ports of this host that lead into its containers. Two maps that grow with the ports, and a
 * number of rules that does not. Pure.
 *
 * The source stays what it was, but where the answer would not come back by here: from 127.0.0.1, and between two on one bridge, a
 * container and itself too.
 *
 * @module
 */
import { addressToNumber, familyOf, parsePrefix, prefixContains } from "../../base/address.ts";
import { chain } from "./guard.ts";
import { TABLE } from "./table.ts";

/** A port of this host, and where it leads. IPv4. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Address of the host that it is at; all of them if absent. */
  readonly hostIp?: string;
  readonly hostPort: number;
  /** The container's. */
  readonly address: string;
  readonly containerPort: number;
}

/** Elements of the maps, `key : value`, by the maps' names. */
export type PortMaps = ReadonlyMap<string, readonly string[]>;

/** Ports at all addresses of the host, and at certain ones. */
const ANY = "port-any", AT = "port-at";
/** Their names. */
export const PORT_MAPS: readonly string[] = [ANY, AT];

const TYPES: Readonly<Record<string, string>> = {
  [ANY]: "inet_proto . inet_service : ipv4_addr . inet_service",
  [AT]: "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
};
/** IPPROTO_ numbers (linux/in.h), as nftables lists them. */
const L4 = { tcp: 6, udp: 17, sctp: 132 } as const;
const LOOPBACK = "127.0.0.0/8";

/**
 * Sorts ports into the maps.
 *
 * @param subnet this host's: what is not in it is not this host's container any more, and left out.
 */
export function portMaps(ports: Iterable<PublishedPort>, subnet: string): PortMaps {
  const found = new Map<string, Map<string, string>>(PORT_MAPS.map((name) => [name, new Map()]));
  for (const { protocol, hostIp, hostPort, address, containerPort } of ports) {
    if (familyOf(address) !== 4 || !prefixContains(subnet, address)) continue;
    const port = `${L4[protocol]} . ${checkPort(hostPort)}`;
    const [name, key] = hostIp === undefined
      ? [ANY, port]
      : [AT, `${checkAddress(hostIp)} . ${port}`];
    const map = found.get(name)!;
    // The first keeps it.
    if (!map.has(key)) map.set(key, `${checkAddress(address)} . ${checkPort(containerPort)}`);
  }
  return new Map(
    [...found].map(([name, map]) => [name, [...map].map(([key, value]) => `${key} : ${value}`)]),
  );
}

/** Whether something is published. */
export function hasPorts(maps: PortMaps | undefined): boolean {
  return maps !== undefined && [...maps.values()].some((elements) => elements.length > 0);
}

/** Whether something is published at 127.0.0.1 or the like. */
export function hasLoopbackPorts(maps: PortMaps | undefined): boolean {
  if ((maps?.get(ANY)?.length ?? 0) > 0) return true;
  return (maps?.get(AT) ?? []).some((element) => element.startsWith("127."));
}

/** Where the ports are published. */
export interface PortPlace {
  /** This host's subnet. */
  readonly subnet: string;
  /** Name of the bridge that containers are attached to. */
  readonly bridge: string;
  /** Name of the set of virtual IPs, which answer for services alone; undefined: there is none. */
  readonly vips?: string | undefined;
}

/**
 * Maps and chains, as part of a table.
 *
 * @throws {SyntaxError} if a name or address is malformed: nothing unchecked goes into the commands.
 */
export function portObjects(maps: PortMaps, { subnet, bridge, vips }: PortPlace): string[] {
  parsePrefix(subnet);
  if (!/^[^\s"*/\\]{1,15}$/.test(bridge)) {
    throw new SyntaxError(`Cannot name the device "${bridge}" in a rule: not an interface name`);
  }
  const here = "fib daddr type local";
  const objects = PORT_MAPS.map((name) => {
    const elements = maps.get(name) ?? [];
    const list = elements.length === 0 ? "" : `elements = { ${elements.join(", ")} }\n`;
    return `map ${name} {\ntype ${TYPES[name]}\n${list}}`;
  });
  const lead = [
    ...(vips === undefined ? [] : [`ip daddr @${vips} return`]),
    `dnat ip to ip daddr . meta l4proto . th dport map @${AT}`,
    `dnat ip to meta l4proto . th dport map @${ANY}`,
  ];
  return [
    ...objects,
    `chain port-lead {\n${lead.join("\n")}\n}`,
    // With route_localnet, which an answer to 127.0.0.1 needs, the bridge would take these for the host's own. Answers are not
    // translated back yet where this looks.
    chain("port-guard", "filter hook prerouting priority -300", [
      `iifname "${bridge}" ip daddr ${LOOPBACK} counter drop`,
      `iifname "${bridge}" ip saddr ${LOOPBACK} counter drop`,
    ]),
    // From outside nobody gets to what is published at 127.0.0.1: translated first, the kernel would not see what it was.
    chain("port-in", "nat hook prerouting priority -100", [
      `ip daddr ${LOOPBACK} return`,
      `${here} jump port-lead`,
    ]),
    chain("port-out", "nat hook output priority -100", [`${here} jump port-lead`]),
    chain("port-back", "nat hook postrouting priority 99", [
      `ct status dnat ip saddr { ${LOOPBACK}, ${subnet} } ip daddr ${subnet} masquerade`,
    ]),
  ];
}

/** The commands that bring the maps from one state to another and touch nothing else; empty text if they are alike. */
export function portDelta(before: PortMaps, after: PortMaps): string {
  const lines: string[] = [];
  const command = (verb: string, name: string, elements: readonly string[]) => {
    if (elements.length === 0) return;
    lines.push(`${verb} element ip ${TABLE} ${name} { ${elements.join(", ")} }`);
  };
  for (const name of PORT_MAPS) {
    const old = new Set(before.get(name));
    const now = new Set(after.get(name));
    const keys = [...old].filter((element) => !now.has(element)).map((one) => one.split(" : ")[0]!);
    command("delete", name, keys);
    command("add", name, [...now].filter((element) => !old.has(element)));
  }
  return lines.join("\n");
}

function checkPort(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  throw new RangeError(`Cannot publish port ${port}: it is not between 1 and 65535`);
}

/** An IPv4 address in the writing in which maps list it. */
function checkAddress(text: string): string {
  addressToNumber(text);
  if (/^[0-9.]+$/.test(text)) return text;
  throw new SyntaxError(`Cannot publish a port at ${text}: it is no IPv4 address`);
}
