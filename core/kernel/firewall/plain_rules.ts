/**
 * The plain rules that knet keeps in other programs' chains: sources, destinations, a port or a protocol, of a form that `iptables -S`
 * prints as they are, with the comment `knet`.
 *
 * @module
 */
import { addressBits, familyOf, parsePrefix } from "../../base/address.ts";
import type { Nftables } from "../../../ffi/libnftables.ts";
import type { Family } from "../../cluster/lease.ts";
import type { Packet } from "./packet_match.ts";
import { IPIP, isIpip, type Lookup, single } from "./passage.ts";
import { COMMENT, familyWord } from "./table.ts";
import {
  type Chain,
  type ChainName,
  chainPath,
  type Expression,
  listRuleset,
  type NftCommand,
  type Rule,
} from "./ruleset.ts";

/** What a rule accepts: where it comes from and goes to, a port of UDP, or a whole protocol. */
export interface Pass {
  readonly saddr?: string;
  readonly daddr?: string;
  /** UDP port. */
  readonly udp?: number;
  /** TCP port. */
  readonly tcp?: number;
  /** IPPROTO_ number. */
  readonly protocol?: number;
}

const FIELDS = ["saddr", "daddr"] as const;

/** A packet that the rule would accept. */
export function packetOf(
  { saddr, daddr, udp, tcp, protocol }: Pass,
  family: Family,
  place: Partial<Packet> = {},
): Packet {
  return {
    ...{ family, local: false },
    ...(saddr !== undefined && { from: saddr }),
    ...(daddr !== undefined && { to: daddr }),
    ...(udp !== undefined && { protocol: "udp" as const, port: udp }),
    ...(tcp !== undefined && { protocol: "tcp" as const, port: tcp }),
    ...(protocol === IPIP && { protocol: "ipip" as const }),
    ...place,
  };
}

/** Whether two things are in one table. */
export function sameTable(
  a: { readonly family: string; readonly table: string },
  b: { readonly family: string; readonly table: string },
): boolean {
  return a.family === b.family && a.table === b.table;
}

/** The rules of one chain. */
export function rulesOf(rules: readonly Rule[], chain: ChainName): Rule[] {
  return rules.filter((rule) => sameTable(rule, chain) && rule.chain === chain.name);
}

/** Finds rules among those that were read. */
export const lookupIn = (rules: readonly Rule[]): Lookup => (chain) => rulesOf(rules, chain);

/** Finds rules in the kernel; each chain is read once. */
export function lookupOn(nft: Nftables): Lookup {
  const known = new Map<string, Rule[]>();
  return (chain) => {
    const path = chainPath(chain);
    const before = known.get(path);
    if (before !== undefined) return before;
    const rules = rulesOf(listRuleset(nft, chain).rules, chain);
    known.set(path, rules);
    return rules;
  };
}

/** `ip saddr 10.244.0.0/16`, one after the other. */
export function passText({ udp, tcp, protocol, ...addresses }: Pass): string {
  return [
    ...FIELDS.flatMap((field) => {
      const prefix = addresses[field];
      return prefix === undefined ? [] : [`${familyWord(familyOf(prefix))} ${field} ${prefix}`];
    }),
    ...(udp === undefined ? [] : [`udp dport ${udp}`]),
    ...(tcp === undefined ? [] : [`tcp dport ${tcp}`]),
    ...(protocol === undefined ? [] : [`meta l4proto ${protocol}`]),
  ].join(" ");
}

/** The same of a rule that has our form; undefined: somebody else's, comment or not. */
export function ruleText(rule: Rule): string | undefined {
  const expressions = rule.expr.filter((expression) => !("counter" in expression));
  const verdict = expressions.pop();
  if (verdict === undefined || !("accept" in verdict) || expressions.length === 0) return undefined;
  const texts = expressions.map(matchText);
  return texts.includes(undefined) ? undefined : texts.join(" ");
}

function matchText(expression: Expression): string | undefined {
  const match = expression["match"] as {
    op?: string;
    left?: { payload?: { protocol?: string; field?: string }; meta?: { key?: string } };
    right?: { prefix?: { addr?: string; len?: number } } | string | number;
  } | undefined;
  if (match?.op !== "==") return undefined;
  const { left, right } = match;
  if (left?.meta?.key === "l4proto") {
    return isIpip(right) ? `meta l4proto ${IPIP}` : undefined;
  }
  const { protocol, field } = left?.payload ?? {};
  if (field === "dport") {
    const known = protocol === "udp" || protocol === "tcp";
    return known && typeof right === "number" ? `${protocol} dport ${right}` : undefined;
  }
  if (field !== "saddr" && field !== "daddr") return undefined;
  if (typeof right === "string") return `${protocol} ${field} ${single(right)}`;
  const prefix = typeof right === "object" ? right.prefix : undefined;
  return prefix && `${protocol} ${field} ${prefix.addr}/${prefix.len}`;
}

/** The command that deletes a rule. */
export function deletion({ family, table, chain, handle }: Rule): NftCommand {
  return { delete: { rule: { family, table, chain, handle } } };
}

/** The command that puts a rule at the head of a chain. */
export function insertion({ family, table, name }: Chain, pass: Pass): NftCommand {
  const expr: Expression[] = [];
  const match = (left: Expression, right: unknown) =>
    expr.push({ match: { op: "==", left, right } });
  for (const field of FIELDS) {
    const prefix = pass[field];
    if (prefix === undefined) continue;
    const { address: addr, length: len, family: version } = parsePrefix(prefix);
    // A prefix of all bits is listed as an address.
    const whole = len === addressBits(version);
    match(
      { payload: { protocol: familyWord(version), field } },
      whole ? addr : { prefix: { addr, len } },
    );
  }
  if (pass.udp !== undefined) match({ payload: { protocol: "udp", field: "dport" } }, pass.udp);
  if (pass.tcp !== undefined) match({ payload: { protocol: "tcp", field: "dport" } }, pass.tcp);
  if (pass.protocol !== undefined) match({ meta: { key: "l4proto" } }, pass.protocol);
  expr.push({ counter: null }, { accept: null });
  return { insert: { rule: { family, table, chain: name, expr, comment: COMMENT } } };
}

/**
 * What is missing and what is too many of our rules. Rules that stand anywhere in their chain are left where they are: an
 * administrator who puts a drop before them means it.
 *
 * @param rules those that may be ours or are somebody else's.
 * @param ours whether a rule's text is of the form that is looked after here.
 * @param wanted chains with what each has to accept.
 */
export function planRules(
  rules: readonly Rule[],
  ours: (text: string) => boolean,
  wanted: readonly (readonly [chain: Chain, passes: readonly Pass[]])[],
): NftCommand[] {
  const keys = new Set(
    wanted.flatMap(([chain, passes]) =>
      passes.map((pass) => `${chainPath(chain)} ${passText(pass)}`)
    ),
  );
  const seen = new Set<string>();
  const commands: NftCommand[] = [];
  for (const rule of rules) {
    if (rule.comment !== COMMENT) continue;
    const text = ruleText(rule);
    if (text === undefined || !ours(text)) continue;
    const key = `${chainPath({ ...rule, name: rule.chain })} ${text}`;
    if (keys.has(key) && !seen.has(key)) seen.add(key);
    else commands.push(deletion(rule));
  }
  for (const [chain, passes] of wanted) {
    for (const pass of passes) {
      if (!seen.has(`${chainPath(chain)} ${passText(pass)}`)) commands.push(insertion(chain, pass));
    }
  }
  return commands;
}
