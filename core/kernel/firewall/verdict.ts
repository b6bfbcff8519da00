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
import {
  both,
  keyMatches,
  type Match,
  matches,
  type Packet,
  type Sets,
  statementMatch,
} from "./packet_match.ts";
import {
  type Chain,
  type Expression,
  isMissing,
  listRuleset,
  parseRuleset,
  type Rule,
  runCommands,
} from "./ruleset.ts";
import { familyWord, TABLE } from "./table.ts";

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

/** The worst that becomes of a packet on its way through hooks, in this order. Pure. */
export function verdictOf(filters: Filters, hooks: readonly Hook[], packet: Packet): Verdict {
  const word = familyWord(packet.family);
  let unsure: Chain | undefined;
  for (const hook of hooks) {
    for (const chain of filters.chains) {
      if (chain.hook !== hook || !isFilter(chain)) continue;
      if (chain.family !== word && chain.family !== "inet") continue;
      const end = walk(filters, chain, seenAt(hook, packet), 0);
      const accepts = chain.policy !== "drop";
      const drops = end.surely === "drop" || end.surely === undefined && !accepts;
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

/** What becomes of a packet in a chain. */
interface End {
  /** By rules that are known to mean it; undefined: it comes back from the chain. */
  readonly surely: "accept" | "drop" | undefined;
  /** Whether it may be accepted. */
  readonly accept: boolean;
  /** Whether it may come back. */
  readonly falls: boolean;
}

const ACCEPTED: End = { surely: "accept", accept: true, falls: false };
const DROPPED: End = { surely: "drop", accept: false, falls: false };
const ENDS: End = { surely: undefined, accept: false, falls: true };
/** Somebody else decides, as a program by a queue. */
const OPEN: End = { surely: undefined, accept: true, falls: true };

/** As deep as the kernel lets chains jump (NFT_JUMP_STACK_SIZE of net/netfilter/nf_tables.h). */
const DEEPEST = 16;

function walk(
  filters: Filters,
  chain: { readonly family: string; readonly table: string; readonly name: string },
  packet: Packet,
  depth: number,
): End {
  if (depth > DEEPEST) return OPEN;
  const sets: Sets = filters.sets.get(tableKey(chain)) ?? new Map();
  let surely: End["surely"];
  let accept = false;
  let falls = false;
  for (const rule of filters.rules.get(`${tableKey(chain)} ${chain.name}`) ?? []) {
    for (const { match, verdict } of verdicts(rule, packet, sets)) {
      if (match === "none") continue;
      const target = (verdict["jump"] ?? verdict["goto"]) as { target?: string } | undefined;
      const end = target === undefined
        ? endOf(verdict)
        : walk(filters, { ...chain, name: target.target ?? "" }, packet, depth + 1);
      const last = !("jump" in verdict);
      accept ||= end.accept;
      if (last && end.falls) falls = true;
      if (match !== "all") continue;
      surely ??= end.surely;
      if (!last && end.falls) continue;
      return { surely, accept, falls };
    }
  }
  return { surely, accept, falls: true };
}

function endOf(verdict: Expression): End {
  if ("accept" in verdict) return ACCEPTED;
  if ("drop" in verdict || "reject" in verdict) return DROPPED;
  if ("return" in verdict) return ENDS;
  return OPEN;
}

interface Step {
  readonly match: Match;
  readonly verdict: Expression;
}

/** The verdicts of a rule, each with whether it means the packet: several only in a verdict map. */
function verdicts(rule: Rule, packet: Packet, sets: Sets): Step[] {
  let match: Match = "all";
  for (const expression of rule.expr) {
    if ("match" in expression) {
      match = both(match, matches(expression["match"], packet, sets));
    } else if ("vmap" in expression) {
      return mapped(expression["vmap"], match, packet, sets);
    } else if (isVerdict(expression)) {
      return [{ match: match === "some" && onlyState(rule) ? "none" : match, verdict: expression }];
    } else if (isTarget(expression, "REJECT")) {
      return [{ match, verdict: { reject: null } }];
    } else {
      match = both(match, statementMatch(expression));
    }
    if (match === "none") return [];
  }
  return [];
}

function isVerdict(expression: Expression): boolean {
  return ["accept", "drop", "reject", "return", "jump", "goto", "queue"].some((name) =>
    name in expression
  );
}

function isTarget(expression: Expression, name: string): boolean {
  const { type, name: what } = (expression["xt"] ?? {}) as { type?: string; name?: string };
  return type === "target" && what === name;
}

/**
 * Whether nothing but iptables' connection state is asked: that it is established, or invalid, as good as always. What is new is then
 * not meant.
 */
function onlyState({ expr }: Rule): boolean {
  return expr.every((expression) => {
    if ("match" in expression) {
      const { left } = expression["match"] as { left?: { meta?: { key?: string } } };
      return /^[io]if(name)?$/.test(left?.meta?.key ?? "");
    }
    const { type, name = "" } = (expression["xt"] ?? {}) as { type?: string; name?: string };
    return !("xt" in expression) || type === "match" && /^(conntrack|state|comment)$/.test(name);
  }) && expr.some((expression) => {
    const { name = "" } = (expression["xt"] ?? {}) as { name?: string };
    return /^(conntrack|state)$/.test(name);
  });
}

function mapped(vmap: unknown, before: Match, packet: Packet, sets: Sets): Step[] {
  const { key, data } = vmap as { key?: unknown; data?: unknown };
  const entries = typeof data === "string"
    ? sets.get(data.slice(1))
    : (data as { set?: readonly unknown[] } | undefined)?.set;
  if (entries === undefined) return [{ match: "some", verdict: { queue: null } }];
  return entries.flatMap((entry) => {
    const [value, verdict] = entry as [unknown, Expression];
    const match = both(before, keyMatches(key, value, packet, sets));
    return match === "none" ? [] : [{ match, verdict }];
  });
}
