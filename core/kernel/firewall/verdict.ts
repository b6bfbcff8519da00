/**
 * What becomes of a packet in other programs' rules: every chain of its hooks has to accept it, by its rules, the chains that they jump
 * to and its policy.
 *
 * Not everything that a rule may ask is known: what iptables' extensions look at shows neither here nor in `nft list`. So the answer has
 * three values, and only a packet that no rule can let pass counts as dropped. Rules of iptables-legacy are not seen at all.
 *
 * @module
 */
import { type Nftables, NftablesError } from "../../../ffi/libnftables.ts";
import type { Packet, Sets } from "./packet_match.ts";
import {
  type Chain,
  isMissing,
  listRuleset,
  parseRuleset,
  type Rule,
  runCommands,
} from "./ruleset.ts";
import { familyWord, TABLE } from "./table.ts";
import { type Rules, walk } from "./walk.ts";

export type { Packet } from "./packet_match.ts";

/** A hook of netfilter. */
export type Hook = "prerouting" | "input" | "forward" | "output" | "postrouting";

/** Other programs' chains and rules, and the elements of their named sets. */
export interface Filters {
  readonly chains: readonly Chain[];
  /** By table and chain. */
  readonly rules: ReadonlyMap<string, readonly Rule[]>;
  /** By table. */
  readonly sets: ReadonlyMap<string, Sets>;
}

/** "unsure": as far as rules can be read it is dropped, but one that cannot may accept it. */
export interface Verdict {
  readonly fate: "passes" | "unsure" | "dropped";
  /** The chain that drops it. */
  readonly chain?: Chain;
}

const tableKey = ({ family, table }: { family: string; table: string }) => `${family} ${table}`;

/** Reads all tables of other programs that filter. */
export function readFilters(nft: Nftables): Filters {
  const { chains } = listRuleset(nft, "chains");
  const tables = new Map(
    chains.filter(isFilter).map((chain) => [tableKey(chain), chain] as const),
  );
  return parseFilters(chains, [...tables.values()].map((chain) => listTable(nft, chain)));
}

/** Of a listing of all chains, and one with rules and sets for each table. Pure. */
export function parseFilters(chains: readonly Chain[], listings: readonly string[]): Filters {
  const rules = new Map<string, Rule[]>();
  const sets = new Map<string, Map<string, readonly unknown[]>>();
  for (const text of listings) {
    for (const rule of parseRuleset(text).rules) {
      const key = `${tableKey(rule)} ${rule.chain}`;
      const list = rules.get(key);
      if (list === undefined) rules.set(key, [rule]);
      else list.push(rule);
    }
    for (const object of text === "" ? [] : JSON.parse(text).nftables ?? []) {
      const set = object.set ?? object.map;
      if (set === undefined) continue;
      const key = tableKey(set);
      if (!sets.has(key)) sets.set(key, new Map());
      sets.get(key)!.set(set.name, set.elem ?? []);
    }
  }
  return { chains, rules, sets };
}

function listTable(nft: Nftables, { family, table }: Chain): string {
  try {
    return runCommands(nft, [{ list: { table: { family, name: table } } }]);
  } catch (error) {
    if (error instanceof NftablesError && isMissing(error)) return "";
    throw error;
  }
}

function isFilter(chain: Chain): boolean {
  return chain.hook !== undefined && (chain.type === "filter" || chain.type === "route") &&
    chain.table !== TABLE && /^(ip6?|inet)$/.test(chain.family);
}

const NO_SETS: Sets = new Map();

/** The worst that becomes of a packet on its way through hooks, in this order. Pure. */
export function verdictOf(filters: Filters, hooks: readonly Hook[], packet: Packet): Verdict {
  const word = familyWord(packet.family);
  const rules: Rules = {
    rulesOf: (chain) => filters.rules.get(`${tableKey(chain)} ${chain.name}`) ?? [],
    setsOf: (chain) => filters.sets.get(tableKey(chain)) ?? NO_SETS,
  };
  let unsure: Chain | undefined;
  for (const hook of hooks) {
    for (const chain of filters.chains) {
      if (chain.hook !== hook || !isFilter(chain)) continue;
      if (chain.family !== word && chain.family !== "inet") continue;
      const end = walk(rules, chain, seenAt(hook, packet));
      const accepts = chain.policy !== "drop";
      const drops = end.surely === "drop" || end.surely !== "accept" && !accepts;
      if (!drops) continue;
      if (!end.accept && !(end.falls && accepts)) return { fate: "dropped", chain };
      unsure ??= chain;
    }
  }
  return unsure === undefined ? { fate: "passes" } : { fate: "unsure", chain: unsure };
}

/** Which devices a hook knows: before routing none to leave by, and of what this host sends none that it came by. */
function seenAt(hook: Hook, packet: Packet): Packet {
  if (hook === "prerouting" || hook === "input") return { ...packet, oif: "" };
  return hook === "output" ? { ...packet, iif: "" } : packet;
}
