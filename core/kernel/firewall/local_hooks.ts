/**
 * The tunnel and services on hosts where another program's chain drops what comes in or goes out.
 *
 * A packet to a virtual IP passes the INPUT hook, where IPVS takes it (at priority 98, behind filters), and goes on to its real server
 * by the OUTPUT hook. The tunnel's datagrams come in and go out by the same two. ufw, firewalld and many a hand-made ruleset drop at
 * the first by default. What knet lets in there is the tunnel, whose guard knows the peers, the port of the store that the hosts hold
 * themselves, which proves who is there, and what comes from containers and is for virtual IPs, whose other ports knet's own table
 * refuses before; from elsewhere it is the administrator's to say.
 *
 * @module
 */
import type { Nftables } from "../../../ffi/libnftables.ts";
import { familyOf, parsePrefix, prefixContains } from "../../base/address.ts";
import { type FirewallAdvice, recognise, stillNeeded } from "./firewall_managers.ts";
import { drops, IPIP, type Lookup, single } from "./passage.ts";
import {
  deletion,
  lookupIn,
  lookupOn,
  packetOf,
  type Pass,
  planRules,
  rulesOf,
  ruleText,
} from "./plain_rules.ts";
import { COMMENT, familyWord, TABLE } from "./table.ts";
import { type Chain, chainPath, listRuleset, type NftCommand, type Rule } from "./ruleset.ts";

/** What has to get through. */
export interface PassNeeds {
  /** The cluster network. */
  readonly network: string;
  /** Where services are, see {@linkcode serviceTargets}; none: there are no services. */
  readonly targets: readonly string[];
  /** Name of the bridge that containers are attached to. */
  readonly bridge?: string;
  /** The interfaces by which the hosts are reached; none: by any. */
  readonly ifaces?: readonly string[] | undefined;
  /** UDP port of the tunnel; undefined: there is none. */
  readonly port?: number | undefined;
  /** Port of the store that the hosts hold themselves, TCP, and UDP of the search for hosts; undefined: there is none. */
  readonly store?: number | undefined;
  /** Whether this host is a real server behind an IPIP tunnel. */
  readonly tunnelsIn?: boolean;
  /** Whether it has real servers behind such tunnels. */
  readonly tunnelsOut?: boolean;
}

/** What has to be done about the INPUT and OUTPUT hooks. */
export interface LocalPlan {
  /** Chains that drop and hold, or should hold, knet's rules: `ip filter INPUT`. */
  readonly chains: readonly string[];
  /** Those that drop and are another program's to write. */
  readonly left: readonly string[];
  /** Commands of one transaction; none: all is right. */
  readonly commands: readonly NftCommand[];
  /** What knet leaves to the administrator. */
  readonly advice: readonly FirewallAdvice[];
}

/**
 * Where containers have to get: the service network, and virtual IPs that are not in it.
 *
 * @param serviceNetwork undefined if something other than services is in it: then each virtual IP by itself.
 */
export function serviceTargets(vips: Iterable<string>, serviceNetwork?: string): string[] {
  const all = [...new Set(vips)].sort();
  const inside = (vip: string) =>
    serviceNetwork !== undefined && familyOf(vip) === familyOf(serviceNetwork) &&
    prefixContains(serviceNetwork, vip);
  const alone = all.filter((vip) => !inside(vip)).map(single);
  return alone.length === all.length ? alone : [serviceNetwork!, ...alone];
}

/** Chains of other programs' on the two hooks through which packets of the network's family pass. */
export function localChains(chains: readonly Chain[], network: string): Chain[] {
  const word = familyWord(familyOf(network));
  return chains.filter(({ hook, type, family, table }) =>
    (hook === "input" || hook === "output") && (type === "filter" || type === "route") &&
    table !== TABLE && (family === word || family === "inet")
  );
}

/** What has to get through a hook, each with the interfaces that it comes by. */
function passesOf(
  hook: string,
  needs: PassNeeds,
): { pass: Pass; iifs: readonly (string | undefined)[] }[] {
  const { network, targets, port, store, bridge, ifaces = [] } = needs;
  const outside = ifaces.length === 0 ? [undefined] : ifaces;
  const own = targets.filter((target) => familyOf(target) === familyOf(network));
  const tunnels = (on: boolean | undefined) => on ? [{ protocol: IPIP }] : [];
  const outer: Pass[] = [
    ...(port === undefined ? [] : [{ udp: port }]),
    ...(store === undefined ? [] : [{ tcp: store }, { udp: store }]),
  ];
  if (hook === "input") {
    return [
      ...own.map((daddr) => ({ pass: { saddr: network, daddr }, iifs: [bridge] })),
      ...[...outer, ...tunnels(needs.tunnelsIn)].map((pass) => ({ pass, iifs: outside })),
    ];
  }
  return [
    // Behind IPVS, on its way to the real server, wherever that is; what the host asks itself has its address in the network.
    ...(own.length > 0 ? [{ saddr: network }] : []),
    ...outer,
    ...tunnels(needs.tunnelsOut),
  ].map((pass) => ({ pass, iifs: [""] }));
}

/**
 * Decides which chains need rules, and what is missing or too many.
 *
 * @param rules the rules of the chains that {@linkcode localChains} names.
 * @param lookup finds the rules of any chain.
 */
export function planLocal(
  chains: readonly Chain[],
  rules: readonly Rule[],
  needs: PassNeeds,
  legacyTables = "",
  lookup: Lookup = lookupIn(rules),
): LocalPlan {
  const { network, port, store } = needs;
  const { family } = parsePrefix(network);
  const wanted: [Chain, readonly Pass[]][] = [];
  for (const chain of localChains(chains, network)) {
    const input = chain.hook === "input";
    const passes = passesOf(chain.hook!, needs).filter(({ pass, iifs }) =>
      iifs.some((iif) => {
        const place = { local: input, ...(iif !== undefined && { iif }) };
        return drops(chain, packetOf(pass, family, place), lookup);
      })
    );
    if (passes.length > 0) wanted.push([chain, passes.map(({ pass }) => pass)]);
  }
  const out = wanted.some(([{ hook }]) => hook === "output");
  const open = { port, store, services: needs.targets, out };
  const managers = recognise(chains, legacyTables, network, open);
  const isLeft = (chain: Chain) => managers.some((manager) => manager.owns(chain));
  const left = wanted.map(([chain]) => chain).filter(isLeft);
  const ours = wanted.filter(([chain]) => !isLeft(chain));
  const needed = needs.targets.length > 0 || port !== undefined || store !== undefined;
  return {
    chains: ours.map(([chain]) => chainPath(chain)),
    left: left.map(chainPath),
    commands: planRules(rules, isOurs, ours),
    advice: needed ? stillNeeded(managers, left) : [],
  };
}

/** The forms of ours in these chains. */
function isOurs(text: string): boolean {
  return /^ip6? saddr \S+( ip6? daddr \S+)?$|^(udp|tcp) dport \d+$|^meta l4proto \d+$/.test(text);
}

/** Commands that remove knet's rules from the chains that were read. */
export function localRemoval(rules: readonly Rule[]): NftCommand[] {
  return rules.filter((rule) => rule.comment === COMMENT && isOurs(ruleText(rule) ?? ""))
    .map(deletion);
}

/** Reads what {@linkcode planLocal} needs and plans. */
export function checkLocal(nft: Nftables, needs: PassNeeds, legacyTables?: string): LocalPlan {
  const { chains } = listRuleset(nft, "chains");
  const rules = readLocalRules(nft, chains, needs.network);
  return planLocal(chains, rules, needs, legacyTables, lookupOn(nft));
}

/** The rules of the chains that {@linkcode localChains} names. */
export function readLocalRules(nft: Nftables, chains: readonly Chain[], network: string): Rule[] {
  return localChains(chains, network).flatMap((chain) =>
    rulesOf(listRuleset(nft, chain).rules, chain)
  );
}
