/**
 * Forwarding on hosts where another program's chain drops it.
 *
 * A packet must be accepted by every chain on the FORWARD hook, so an accept in knet's own table
 * changes nothing where Docker's `ip filter FORWARD` drops. There knet keeps two plain rules, of a form
 * that `iptables -S` prints as they are, in the chain that Docker leaves to the administrator, else at
 * the head of the chain that drops.
 *
 * @module
 */
import type { Nftables } from "../../../ffi/libnftables.ts";
import { familyOf, parsePrefix } from "../../base/address.ts";
import { type FirewallAdvice, recognise, stillNeeded } from "./firewall_managers.ts";
import { drops, type Lookup } from "./passage.ts";
import {
  deletion,
  lookupIn,
  lookupOn,
  packetOf,
  type Pass,
  planRules,
  rulesOf,
  ruleText,
  sameTable,
} from "./plain_rules.ts";
import { COMMENT, familyWord } from "./table.ts";
import {
  type Chain,
  chainPath,
  jumpTarget,
  listRuleset,
  type NftCommand,
  type Rule,
} from "./ruleset.ts";

/** What has to be done about the FORWARD hook. */
export interface ForwardPlan {
  /** Chains that hold, or should hold, knet's two rules: `ip filter DOCKER-USER`. */
  readonly chains: readonly string[];
  /** Commands of one transaction; none: all is right. */
  readonly commands: readonly NftCommand[];
  /** What knet leaves to the administrator. */
  readonly advice: readonly FirewallAdvice[];
}

/** Chains of the FORWARD hook through which packets of the network's family pass. */
export function forwardChains(chains: readonly Chain[], network: string): Chain[] {
  const word = familyWord(familyOf(network));
  return chains.filter((chain) =>
    chain.hook === "forward" && chain.type === "filter" &&
    (chain.family === word || chain.family === "inet")
  );
}

/**
 * Decides where the two rules belong, and what is missing or too many.
 *
 * @param chains all chains of the host.
 * @param rules the rules of all chains that {@linkcode chainsToRead} names.
 * @param legacyTables text of /proc/net/ip_tables_names.
 * @param lookup finds the rules of any chain.
 */
export function planForward(
  chains: readonly Chain[],
  rules: readonly Rule[],
  network: string,
  legacyTables = "",
  lookup: Lookup = lookupIn(rules),
): ForwardPlan {
  parsePrefix(network);
  const passes: readonly Pass[] = [{ daddr: network }, { saddr: network }];
  const wanted: Chain[] = [];
  const left: Chain[] = [];
  const managers = recognise(chains, legacyTables, network);
  for (const chain of forwardChains(chains, network)) {
    const packets = passes.map((pass) => packetOf(pass, familyOf(network)));
    if (!packets.some((packet) => drops(chain, packet, lookup))) continue;
    const docker = chains.find((other) =>
      sameTable(other, chain) && other.name === "DOCKER-USER" &&
      rulesOf(rules, chain).some((rule) => jumpTarget(rule) === other.name)
    );
    if (docker !== undefined) wanted.push(docker);
    else if (managers.some((manager) => manager.owns(chain))) left.push(chain);
    else wanted.push(chain);
  }
  return {
    chains: wanted.map(chainPath),
    commands: planRules(rules, isForm, wanted.map((chain) => [chain, passes])),
    advice: stillNeeded(managers, left),
  };
}

/** Chains whose rules {@linkcode planForward} needs: those on the hook, and those that may hold our rules. */
export function chainsToRead(chains: readonly Chain[], network: string): Chain[] {
  const hooked = forwardChains(chains, network);
  const users = chains.filter((chain) =>
    chain.name === "DOCKER-USER" && hooked.some((base) => sameTable(base, chain))
  );
  return [...hooked, ...users];
}

/** Commands that remove knet's rules from the chains that were read. */
export function forwardRemoval(rules: readonly Rule[]): NftCommand[] {
  return rules.filter((rule) => rule.comment === COMMENT && isForm(ruleText(rule) ?? ""))
    .map(deletion);
}

/** Reads what {@linkcode planForward} needs and plans. */
export function checkForward(nft: Nftables, network: string, legacyTables?: string): ForwardPlan {
  const { chains } = listRuleset(nft, "chains");
  const rules = readRules(nft, chains, network);
  return planForward(chains, rules, network, legacyTables, lookupOn(nft));
}

/** The rules that {@linkcode chainsToRead} names. */
export function readRules(nft: Nftables, chains: readonly Chain[], network: string): Rule[] {
  return chainsToRead(chains, network).flatMap((chain) =>
    rulesOf(listRuleset(nft, chain).rules, chain)
  );
}

function isForm(text: string): boolean {
  return /^\S+ [sd]addr \S+$/.test(text);
}
