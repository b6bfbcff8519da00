/**
 * Other programs' INPUT chains: do they let in what is for the tunnel, and for virtual IPs?
 *
 * @module
 */
import type { Nftables } from "../../ffi/libnftables.ts";
import { prefixContains } from "../base/address.ts";
import { TABLE } from "../kernel/firewall/rules.ts";
import { type Chain, dropsAll, listRuleset, type Rule } from "../kernel/firewall/ruleset.ts";
import type { Protocol } from "../services/service.ts";

/** INPUT chains and the rules of their tables. */
export function readInput(nft: Nftables): { chains: readonly Chain[]; rules: readonly Rule[] } {
  const { chains } = listRuleset(nft, "chains");
  const tables = new Map(
    chains.filter(isInput).map(({ family, table }) => [`${family} ${table}`, { family, table }]),
  );
  return { chains, rules: [...tables.values()].flatMap((table) => listRuleset(nft, table).rules) };
}

function isInput(chain: Chain): boolean {
  return chain.hook === "input" && chain.type === "filter" && chain.table !== TABLE &&
    (chain.family === "ip" || chain.family === "inet");
}

/** What is to come in. */
export interface Incoming {
  readonly protocol: Protocol;
  /** Undefined: any. */
  readonly port?: number;
  /** Network that it comes from; undefined: any. */
  readonly from?: string;
}

/** Input chains that drop by default, in tables where no rule accepts that port, or all that comes from there. Pure. */
export function closedChains(
  chains: readonly Chain[],
  rules: readonly Rule[],
  incoming: Incoming,
): Chain[] {
  return chains.filter(isInput).filter((chain) => {
    const near = rules.filter(({ family, table }) =>
      family === chain.family && table === chain.table
    );
    const last = near.filter((rule) => rule.chain === chain.name).at(-1);
    const drops = chain.policy === "drop" || (last !== undefined && dropsAll(last));
    return drops &&
      !near.some((rule) => acceptsPort(rule, incoming) || acceptsFrom(rule, incoming));
  });
}

/** Whether a rule accepts all that comes from a network, by whichever device. */
function acceptsFrom(rule: Rule, { from }: Incoming): boolean {
  if (from === undefined || !rule.expr.some((expression) => "accept" in expression)) return false;
  const matches = rule.expr.filter((expression) => "match" in expression);
  return matches.length === 1 && matches.every((expression) => {
    const { op, left, right } = expression["match"] as Match;
    if (op !== "==" || left?.payload?.field !== "saddr") return false;
    const prefix = (right as { prefix?: { addr?: unknown; len?: unknown } } | null)?.prefix;
    if (typeof prefix?.addr !== "string" || typeof prefix.len !== "number") return false;
    const [address = "", length] = from.split("/");
    return prefix.len <= Number(length) && prefixContains(`${prefix.addr}/${prefix.len}`, address);
  });
}

interface Match {
  readonly op?: string;
  readonly left?: { readonly payload?: { readonly protocol?: string; readonly field?: string } };
  readonly right?: unknown;
}

/** Whether a rule accepts packets to a port, alone or in a set or range. */
function acceptsPort(rule: Rule, { protocol, port }: Incoming): boolean {
  if (port === undefined) return false;
  if (!rule.expr.some((expression) => "accept" in expression)) return false;
  return rule.expr.some((expression) => {
    const match = expression["match"] as Match | undefined;
    const payload = match?.left?.payload;
    return match !== undefined && match.op !== "!=" && payload?.field === "dport" &&
      (payload.protocol === protocol || payload.protocol === "th") && holds(match.right, port);
  });
}

function holds(right: unknown, port: number): boolean {
  if (right === port) return true;
  if (Array.isArray(right)) return right.some((part) => holds(part, port));
  if (typeof right !== "object" || right === null) return false;
  const { set, range } = right as { set?: unknown; range?: [number, number] };
  if (set !== undefined) return holds(set, port);
  return range !== undefined && range[0] <= port && port <= range[1];
}
