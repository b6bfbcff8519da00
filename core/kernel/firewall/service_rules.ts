/**
 * Masquerading of services in knet's nftables table: sets that grow with the services, and a number of rules that does not. Pure.
 *
 * @module
 */
import { familyOf } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import {
  type Forward,
  isDirect,
  type Masquerade,
  type Protocol,
  PROTOCOLS,
} from "../../services/service.ts";
import { familyWord, TABLE } from "./table.ts";

/** Elements of the sets, by the sets' names. */
export type ServiceSets = ReadonlyMap<string, readonly string[]>;

/** What the sets are made from. */
export interface MasqueradedService {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly masquerade: Masquerade;
  readonly realServers: readonly { readonly forward: Forward }[];
}

const VIPS = "svc-vips";
const CHAIN = "svc-masquerade";
const TYPES: Record<Family, string> = { 4: "ipv4_addr", 6: "ipv6_addr" };
const L4: Record<Protocol, number> = { tcp: 6, udp: 17, sctp: 132 };

const setName = (choice: "always" | "auto", protocol: Protocol) => `svc-${choice}-${protocol}`;

const NAMES = [
  VIPS,
  ...PROTOCOLS.flatMap((one) => [setName("always", one), setName("auto", one)]),
];

/** Sorts services of one family into the sets. With direct routing and tunnels the source has to stay what it is. */
export function serviceSets(services: Iterable<MasqueradedService>, family: Family): ServiceSets {
  const sets = new Map<string, string[]>(NAMES.map((name) => [name, []]));
  const vips = new Set<string>();
  for (const service of services) {
    if (service.family !== family) continue;
    vips.add(service.address);
    const { masquerade, protocol } = service;
    if (masquerade === "never" || isDirect(service)) continue;
    sets.get(setName(masquerade, protocol))!.push(`${service.address} . ${service.port}`);
  }
  sets.get(VIPS)!.push(...vips);
  return sets;
}

/** Sets and the chain that the rules jump to, as part of a table. */
export function serviceObjects(sets: ServiceSets, network: string, subnet: string): string[] {
  const family = familyOf(network);
  const word = familyWord(family);
  const objects = NAMES.map((name) => {
    const elements = (sets.get(name) ?? []).map((element) => checkElement(element, family));
    const type = name === VIPS ? TYPES[family] : `${TYPES[family]} . inet_service`;
    const list = elements.length === 0 ? "" : `elements = { ${elements.join(", ")} }\n`;
    return `set ${name} {\ntype ${type}\n${list}}`;
  });
  const masquerade = "counter masquerade fully-random";
  const rules = [
    // The host itself: its source may be the virtual IP, which is local everywhere.
    `fib saddr type local ${masquerade}`,
    // A client from outside, or a real server there: the answer would take another way.
    `${word} saddr != ${network} ${masquerade}`,
    `${word} daddr != ${network} ${masquerade}`,
    // Two on the same bridge, or a container that is its own real server: the answer would not come by here.
    `${word} saddr ${subnet} ${word} daddr ${subnet} ${masquerade}`,
  ];
  return [...objects, `chain ${CHAIN} {\n${rules.join("\n")}\n}`];
}

/**
 * Rules that come first where sources are translated. The connection's original destination is what the client asked for; the
 * packet's own is the real server by then.
 */
export function serviceRules(family: Family): string[] {
  const word = familyWord(family);
  const original = `ct original ${word} daddr`;
  const of = (choice: "always" | "auto", verdict: string) =>
    PROTOCOLS.map((protocol) =>
      `meta l4proto ${L4[protocol]} ${original} . ct original proto-dst ` +
      `@${setName(choice, protocol)} ${verdict}`
    );
  return [
    ...of("always", "counter masquerade fully-random"),
    ...of("auto", `jump ${CHAIN}`),
    // Others keep their source, whatever comes behind, and so does what their real servers answer.
    `${original} @${VIPS} return`,
    `${word} saddr @${VIPS} return`,
  ];
}

/**
 * What comes through a tunnel was balanced already, by the host that sent it: it is for a server on this host itself. Left as it is,
 * this host would balance it once more, and send it on.
 *
 * @param address this host's own.
 */
export function tunnelRules(address: string): string[] {
  const word = familyWord(familyOf(address));
  return [`iifname "tunl0" ${word} daddr @${VIPS} counter dnat to ${address}`];
}

/** The commands that bring the sets from one state to another and touch nothing else. */
export function serviceDelta(before: ServiceSets, after: ServiceSets, family: Family): string {
  const lines: string[] = [];
  const path = `${familyWord(family)} ${TABLE}`;
  for (const name of NAMES) {
    const old = new Set(before.get(name));
    const now = new Set(after.get(name));
    const leaving = [...old].filter((element) => !now.has(element)).join(", ");
    const coming = [...now].filter((element) => !old.has(element))
      .map((element) => checkElement(element, family)).join(", ");
    // Deleting what is not there would fail the transaction, adding what is there does not.
    if (leaving !== "") {
      lines.push(`add element ${path} ${name} { ${leaving} }`);
      lines.push(`delete element ${path} ${name} { ${leaving} }`);
    }
    if (coming !== "") lines.push(`add element ${path} ${name} { ${coming} }`);
  }
  return lines.join("\n");
}

function checkElement(element: string, family: Family): string {
  const [address = "", port] = element.split(" . ");
  if (!/^[0-9a-f.:]+$/i.test(address) || familyOf(address) !== family) {
    throw new SyntaxError(`Cannot masquerade "${element}": malformed`);
  }
  if (port !== undefined && !/^\d{1,5}$/.test(port)) {
    throw new SyntaxError(`Cannot masquerade "${element}": malformed`);
  }
  return element;
}
