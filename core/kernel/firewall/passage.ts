/**
 * Whether other programs' chains let a packet pass, as far as their rules tell. Pure.
 *
 * A chain drops by its policy, by its last rule, or by a chain that it jumps to (ufw's, firewalld's). A rule whose conditions are not
 * understood counts as one that the packet does not meet, and a drop that names addresses or ports is somebody's intention: neither
 * makes a chain one that drops what it does not know.
 *
 * @module
 */
import { addressBits, familyOf } from "../../base/address.ts";
import {
  both,
  keyMatches,
  type Match,
  matches,
  type Packet,
  statementMatch,
} from "./packet_match.ts";
import { type Chain, type ChainName, type Expression, isDrop, type Rule } from "./ruleset.ts";
import { COMMENT } from "./table.ts";

/** The rules of a chain, by its name in the same table. */
export type Lookup = (chain: ChainName) => readonly Rule[];

/** Chains that jump to each other are no deeper in the kernel (NFT_JUMP_STACK_SIZE). */
const DEEPEST = 16;

/** Whether a base chain drops the packet. Knet's own rules in it are passed over: the question is whether they are needed. */
export function drops(chain: Chain, packet: Packet, lookup: Lookup): boolean {
  const end = walk(chain, packet, lookup, 0);
  return end === "drop" || (end === "return" && chain.policy === "drop");
}

type End = "accept" | "drop" | "return";

function walk(chain: ChainName, packet: Packet, lookup: Lookup, depth: number): End {
  if (depth > DEEPEST) return "return";
  const { family, table } = chain;
  for (const rule of lookup(chain)) {
    if (rule.comment === COMMENT) continue;
    const verdict = verdictOf(rule, packet);
    if (verdict === undefined) continue;
    if (isDrop(verdict)) {
      if (rule.expr.some(isNamed)) continue;
      return "drop";
    }
    // Whoever reads the queue decides.
    if ("accept" in verdict || "queue" in verdict) return "accept";
    if ("return" in verdict) return "return";
    const target = ((verdict["jump"] ?? verdict["goto"]) as { target?: string } | undefined)
      ?.target;
    if (target === undefined) continue;
    const end = walk({ family, table, name: target }, packet, lookup, depth + 1);
    if (end !== "return" || "goto" in verdict) return end;
  }
  return "return";
}

/** What a rule does with the packet for sure: its last statement, or what a map of verdicts has. */
function verdictOf(rule: Rule, packet: Packet): Expression | undefined {
  const last = rule.expr.at(-1);
  let match: Match = "all";
  for (const expression of rule.expr.slice(0, -1)) {
    match = both(
      match,
      "match" in expression
        ? matches(expression["match"], packet, NO_SETS)
        : statementMatch(expression),
    );
  }
  if (match !== "all") return undefined;
  const map = last?.["vmap"] as { key?: unknown; data?: { set?: unknown } } | undefined;
  if (map === undefined) return last;
  if (!Array.isArray(map.data?.set)) return undefined;
  for (const [element, verdict] of map.data.set as [unknown, Expression][]) {
    if (keyMatches(map.key, element, packet, NO_SETS) === "all") return verdict;
  }
  return undefined;
}

/** What is in a named set is somebody's intention. */
const NO_SETS = new Map<string, readonly unknown[]>();

/** Whether a condition is about addresses or ports. */
function isNamed(condition: Expression): boolean {
  const { left } = (condition["match"] ?? {}) as { left?: { payload?: { field?: string } } };
  // The protocol in the header is none: `meta l4proto` says the same.
  return left?.payload !== undefined && left.payload.field !== "protocol";
}

/** IPPROTO_IPIP. */
export const IPIP = 4;

/** Whether a number or name is that of IPIP. */
export const isIpip = (right: unknown): boolean =>
  right === IPIP || right === "ipencap" || right === "ipip" || right === "ipv4";

/** An address as a prefix of all its bits. */
export function single(address: string): string {
  return `${address}/${addressBits(familyOf(address))}`;
}
