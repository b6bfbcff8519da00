/**
 * What knet reads of other programs' nftables rules: libnftables' JSON, as far as it matters here.
 *
 * @module
 */
import { type Nftables, NftablesError } from "../../ffi/libnftables.ts";

/** A chain. */
export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Absent for a chain that others jump to. */
  readonly hook?: string;
  readonly type?: string;
  readonly policy?: string;
}

/** One expression of a rule, `{"accept": null}`. */
export type Expression = Readonly<Record<string, unknown>>;

/** A rule. */
export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly comment?: string;
  readonly expr: readonly Expression[];
}

/** Chains and rules of a listing. */
export interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
}

/**
 * Reads a listing (libnftables-json(5)).
 *
 * @throws {SyntaxError} if it is not JSON.
 */
export function parseRuleset(json: string): Ruleset {
  const chains: Chain[] = [];
  const rules: Rule[] = [];
  const objects: { chain?: Chain; rule?: Rule }[] = json.trim() === ""
    ? []
    : JSON.parse(json).nftables ?? [];
  for (const { chain, rule } of objects) {
    if (chain !== undefined) chains.push(chain);
    if (rule !== undefined) rules.push({ ...rule, expr: rule.expr ?? [] });
  }
  return { chains, rules };
}

/** Lists chains (`list chains`), a chain or everything; what is gone by now counts as empty. */
export function listRuleset(nft: Nftables, what: string): Ruleset {
  try {
    return parseRuleset(nft.run(`list ${what}`, { json: true }));
  } catch (error) {
    if (error instanceof NftablesError && isMissing(error)) return { chains: [], rules: [] };
    throw error;
  }
}

/** Whether nftables said that what was named does not exist. */
export function isMissing(error: NftablesError): boolean {
  return /No such file or directory/.test(error.output);
}

/** A chain as commands name it: `ip filter FORWARD`. */
export function chainPath(chain: { family: string; table: string; name: string }): string {
  return `${chain.family} ${quote(chain.table)} ${quote(chain.name)}`;
}

function quote(name: string): string {
  return /^[A-Za-z_][\w./-]*$/.test(name) ? name : JSON.stringify(name);
}

/** The target of an unconditional or conditional jump, undefined if the rule has none. */
export function jumpTarget(rule: Rule): string | undefined {
  for (const expression of rule.expr) {
    const verdict = expression["jump"] ?? expression["goto"];
    if (verdict !== undefined) return (verdict as { target?: string }).target;
  }
  return undefined;
}

/** Whether a rule drops or rejects everything that reaches it. */
export function dropsAll(rule: Rule): boolean {
  const verdict = rule.expr.at(-1);
  if (verdict === undefined || !("drop" in verdict || "reject" in verdict)) return false;
  return rule.expr.slice(0, -1).every((expression) =>
    "counter" in expression || "log" in expression
  );
}
