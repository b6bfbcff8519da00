/**
 * The way of a packet through a chain of other programs' rules and those that it jumps to: the one reading of them, for what knet heals
 * and for what doctor and trace explain. Pure.
 *
 * Not everything that a rule may ask is known, so there are two answers at once: what surely becomes of the packet, by the rules that
 * are known to mean it, and what else may, by those of which it is not known.
 *
 * @module
 */
import {
  both,
  keyMatches,
  type Match,
  matches,
  type Packet,
  type Sets,
  statementMatch,
} from "./packet_match.ts";
import { type ChainName, type Expression, isDrop, type Rule } from "./ruleset.ts";

/** What becomes of a packet in a chain. */
export interface End {
  /** By rules that are known to mean it; "open": somebody else decides; undefined: it comes back from the chain. */
  readonly surely: "accept" | "drop" | "open" | undefined;
  /** Whether it may be accepted. */
  readonly accept: boolean;
  /** Whether it may come back. */
  readonly falls: boolean;
}

const ACCEPTED: End = { surely: "accept", accept: true, falls: false };
const DROPPED: End = { surely: "drop", accept: false, falls: false };
const ENDS: End = { surely: undefined, accept: false, falls: true };
/** A program decides, by a queue. */
const QUEUED: End = { surely: "open", accept: true, falls: false };
/** It cannot be known. */
const OPEN: End = { surely: undefined, accept: true, falls: true };

/** As deep as the kernel lets chains jump (NFT_JUMP_STACK_SIZE of net/netfilter/nf_tables.h). */
const DEEPEST = 16;

/** Where rules and sets are found. */
export interface Rules {
  /** The rules of a chain, less those that are to be passed over. */
  readonly rulesOf: (chain: ChainName) => Iterable<Rule>;
  /** Elements of the named sets of the chain's table; a set that is not there is one that is not known. */
  readonly setsOf: (chain: ChainName) => Sets;
}

/** Follows a packet through a chain and those that it jumps to. */
export function walk(rules: Rules, chain: ChainName, packet: Packet, depth = 0): End {
  if (depth > DEEPEST) return OPEN;
  const sets = rules.setsOf(chain);
  let surely: End["surely"];
  let accept = false;
  let falls = false;
  for (const rule of rules.rulesOf(chain)) {
    for (const { match, verdict } of verdicts(rule, packet, sets)) {
      if (match === "none") continue;
      const target = (verdict["jump"] ?? verdict["goto"]) as { target?: string } | undefined;
      const end = target === undefined
        ? endOf(verdict)
        : walk(rules, { ...chain, name: target.target ?? "" }, packet, depth + 1);
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
  if (isDrop(verdict)) return DROPPED;
  if ("return" in verdict) return ENDS;
  return "queue" in verdict ? QUEUED : OPEN;
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
    } else if (isDrop(expression)) {
      return [{ match, verdict: expression }];
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
  if (entries === undefined) return [{ match: "some", verdict: {} }];
  return entries.flatMap((entry) => {
    const [value, verdict] = entry as [unknown, Expression];
    const match = both(before, keyMatches(key, value, packet, sets));
    return match === "none" ? [] : [{ match, verdict }];
  });
}
