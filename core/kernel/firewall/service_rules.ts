/**
 * Services in knet's nftables table, masquerading and what is refused: sets that grow with the services, and a number of rules that
 * does not. Pure.
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
import { chain, usablePeers } from "./guard.ts";
import { formerObjects, formerRule } from "./former_vips.ts";
import { DIRECTORS } from "./tunnel_rules.ts";
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
/** What a virtual IP answers: address, protocol and port of each service. */
const OPEN = "svc-open";
const CHAIN = "svc-masquerade";
/** The same of virtual IPs of the other family, in a table of that family. */
const OTHER_VIPS = "svc-other-vips", OTHER_OPEN = "svc-other-open";
/** Virtual IPs that were, of either family. */
const FORMER = "svc-former", OTHER_FORMER = "svc-other-former";
const TYPES: Record<Family, string> = { 4: "ipv4_addr", 6: "ipv6_addr" };
const L4: Record<Protocol, number> = { tcp: 6, udp: 17, sctp: 132 };

const setName = (choice: "always" | "auto", protocol: Protocol) => `svc-${choice}-${protocol}`;

const NAMES = [
  VIPS,
  OPEN,
  FORMER,
  DIRECTORS,
  ...PROTOCOLS.flatMap((one) => [setName("always", one), setName("auto", one)]),
];
const OTHER_NAMES = [OTHER_VIPS, OTHER_OPEN, OTHER_FORMER];
/** Sets of addresses without ports. */
const ADDRESSES = [VIPS, OTHER_VIPS, FORMER, OTHER_FORMER, DIRECTORS];

const otherOf = (family: Family): Family => family === 4 ? 6 : 4;

/** The family of the table that a set is in, in a cluster of a family. */
export function familyOfSet(name: string, family: Family): Family {
  return OTHER_NAMES.includes(name) ? otherOf(family) : family;
}

/** Address, protocol and port that something answers at. */
export type Endpoint = Pick<MasqueradedService, "family" | "address" | "protocol" | "port">;

/**
 * Sorts services into the sets of a cluster of one family. With direct routing and tunnels the source has to stay what it is; nothing
 * of the other family is masqueraded.
 *
 * @param others What else answers at a virtual IP: virtual servers that are not knet's.
 * @param peers Public addresses of the other hosts.
 * @param former Virtual IPs that were, and connections to which are to end.
 */
export function serviceSets(
  services: Iterable<MasqueradedService>,
  family: Family,
  others: Iterable<Endpoint> = [],
  peers: Iterable<string> = [],
  former: Iterable<string> = [],
): ServiceSets {
  const open = new Set<string>();
  const sets = new Map<string, string[]>([...NAMES, ...OTHER_NAMES].map((name) => [name, []]));
  const vips = new Set<string>();
  let direct = false;
  for (const service of services) {
    vips.add(service.address);
    direct ||= isDirect(service);
    open.add(endpointText(service));
    if (service.family !== family) continue;
    const { masquerade, protocol } = service;
    if (masquerade === "never" || isDirect(service)) continue;
    sets.get(setName(masquerade, protocol))!.push(`${service.address} . ${service.port}`);
  }
  for (const one of others) if (vips.has(one.address)) open.add(endpointText(one));
  const own = (element: string) => familyOf(element) === family;
  for (const vip of vips) sets.get(own(vip) ? VIPS : OTHER_VIPS)!.push(vip);
  for (const vip of former) sets.get(own(vip) ? FORMER : OTHER_FORMER)!.push(vip);
  for (const one of open) sets.get(own(one) ? OPEN : OTHER_OPEN)!.push(one);
  if (direct) sets.get(DIRECTORS)!.push(...usablePeers([...peers], family));
  return sets;
}

/** All virtual IPs that the sets are about. */
export function virtualIps(sets: ServiceSets): string[] {
  return [VIPS, OTHER_VIPS].flatMap((name) => sets.get(name) ?? []);
}

/** Whether a set tells what virtual IPs answer. */
export const isOpenSet = (name: string): boolean => name === OPEN || name === OTHER_OPEN;

/** The sets with some endpoints not answered: the kernel has no virtual server there, and what listens on the host would answer. */
export function withoutEndpoints(sets: ServiceSets, closed: readonly Endpoint[]): ServiceSets {
  if (closed.length === 0) return sets;
  const gone = new Set(closed.map(endpointText));
  return new Map(
    [...sets].map(([name, list]) =>
      [name, isOpenSet(name) ? list.filter((element) => !gone.has(element)) : list] as const
    ),
  );
}

/** As nftables lists it, in numbers. */
const endpointText = ({ address, protocol, port }: Endpoint) =>
  `${address} . ${L4[protocol]} . ${port}`;

function setText(name: string, sets: ServiceSets, family: Family): string {
  const elements = (sets.get(name) ?? []).map((element) => checkElement(element, family));
  const type = ADDRESSES.includes(name)
    ? TYPES[family]
    : `${TYPES[family]} . ${isOpenSet(name) ? "inet_proto . " : ""}inet_service`;
  const list = elements.length === 0 ? "" : `elements = { ${elements.join(", ")} }\n`;
  return `set ${name} {\ntype ${type}\n${list}}`;
}

/** Whether there are virtual IPs of the other family, or were, and so a table of it. */
export function hasOtherVips(sets: ServiceSets | undefined): boolean {
  return [OTHER_VIPS, OTHER_FORMER].some((name) => (sets?.get(name)?.length ?? 0) > 0);
}

/** The table that refuses at virtual IPs of the other family what no service is at; undefined if there are none. */
export function otherTable(sets: ServiceSets, family: Family): string | undefined {
  if (!hasOtherVips(sets)) return undefined;
  const other = otherOf(family);
  const objects = [
    ...OTHER_NAMES.map((name) => setText(name, sets, other)),
    ...refusals(other, { vips: OTHER_VIPS, open: OTHER_OPEN, former: OTHER_FORMER }, undefined),
  ];
  return `table ${familyWord(other)} ${TABLE} {\n${objects.join("\n")}\n}`;
}

/** Names of the sets that tell what virtual IPs answer, and which there were. */
export const REFUSAL_SETS = { vips: VIPS, open: OPEN, former: FORMER };

/** Sets and the chain that the rules jump to, as part of a table. */
export function serviceObjects(sets: ServiceSets, network: string, subnet: string): string[] {
  const family = familyOf(network);
  const word = familyWord(family);
  const objects = NAMES.map((name) => setText(name, sets, family));
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

/** ICMP that a virtual IP takes: echo, and errors about connections of services. */
const ICMP: Record<Family, string> = {
  4: "icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded, parameter-problem }",
  6: "icmpv6 type { echo-request, echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-neighbor-solicit, nd-neighbor-advert }",
};

const REFUSE: Record<Family, readonly string[]> = {
  4: [
    "meta l4proto tcp counter reject with tcp reset",
    "counter reject with icmp port-unreachable",
  ],
  6: [
    "meta l4proto tcp counter reject with tcp reset",
    "counter reject with icmpv6 port-unreachable",
  ],
};

/**
 * Chains that refuse what no service is at.
 *
 * A virtual IP is an address of this host: whatever listens on all of the host's addresses would answer at it, past the rules that
 * the administrator made for the others. And an address of the service network that no service has would be sent to the default route.
 *
 * @param sets Names of the sets of services; undefined if there are none.
 * @param network The service network; undefined leaves its unassigned addresses alone.
 * @param except Parts of it that are left alone, too.
 */
export function refusals(
  family: Family,
  sets: typeof REFUSAL_SETS | undefined,
  network: string | undefined,
  except: readonly string[] = [],
): string[] {
  const word = familyWord(family);
  const chains: string[] = [];
  if (sets !== undefined) {
    // IPVS sits at priority 98 of this hook; what is not for a service does not come so far.
    chains.push(chain("svc-input", "filter hook input priority -290", [
      `${word} daddr @${sets.vips} jump svc-only`,
    ]));
    // What begins a connection is no answer, although conntrack takes it for one if somebody forged the question.
    chains.unshift(`chain svc-only {
${word} daddr . meta l4proto . th dport @${sets.open} return
${ICMP[family]} return
tcp flags & (syn | ack) == syn jump svc-nobody
ct direction reply return
goto svc-nobody
}`);
  }
  if (sets !== undefined || network !== undefined) {
    chains.unshift(`chain svc-nobody {\n${REFUSE[family].join("\n")}\n}`);
  }
  const rules: string[] = [];
  if (network !== undefined) {
    const others = except.length === 0 ? "" : ` ${word} daddr != { ${except.join(", ")} }`;
    const unassigned = `${word} daddr ${network}${others}` +
      (sets === undefined ? "" : ` ${word} daddr != @${sets.vips}`);
    rules.push(`${unassigned} jump svc-nobody`);
  }
  if (sets !== undefined) {
    chains.unshift(...formerObjects(family));
    rules.push(formerRule(family, sets.former));
  }
  if (rules.length === 0) return chains;
  for (const hook of ["forward", "output"]) {
    chains.push(chain(`svc-${hook}`, `filter hook ${hook} priority -290`, rules));
  }
  return chains;
}

/** The commands that bring the sets from one state to another and touch nothing else. */
export function serviceDelta(before: ServiceSets, after: ServiceSets, family: Family): string {
  const lines: string[] = [];
  for (const name of [...NAMES, ...OTHER_NAMES]) {
    const its = familyOfSet(name, family);
    const path = `${familyWord(its)} ${TABLE}`;
    const old = new Set(before.get(name));
    const now = new Set(after.get(name));
    const leaving = [...old].filter((element) => !now.has(element)).join(", ");
    const coming = [...now].filter((element) => !old.has(element))
      .map((element) => checkElement(element, its)).join(", ");
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
  const parts = element.split(" . ");
  const address = parts[0] ?? "";
  const port = parts.length > 1 ? parts.at(-1) : undefined;
  if (parts.length === 3 && !/^\d{1,3}$/.test(parts[1]!)) {
    throw new SyntaxError(`Cannot masquerade "${element}": malformed`);
  }
  if (!/^[0-9a-f.:]+$/i.test(address) || familyOf(address) !== family) {
    throw new SyntaxError(`Cannot masquerade "${element}": malformed`);
  }
  if (port !== undefined && !/^\d{1,5}$/.test(port)) {
    throw new SyntaxError(`Cannot masquerade "${element}": malformed`);
  }
  return element;
}
