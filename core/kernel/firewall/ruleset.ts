/**
 * What knet reads of other programs' nftables rules: libnftables' JSON, as far as it matters here.
 *
 * @module
 */
import { type Nftables, NftablesError } from "../../../ffi/libnftables.ts";

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

/**
 * A command (libnftables-json(5)). Other programs' names go into these and never into nft's language, which
 * has no way to quote a name that is one of its own words, such as `fwd`.
 */
export type NftCommand = Readonly<Record<string, unknown>>;

/**
 * Runs commands as one transaction.
 *
 * @returns what they print, as JSON.
 * @throws {NftablesError} if one of them is refused.
 */
export function runCommands(nft: Nftables, commands: readonly NftCommand[]): string {
  return nft.run(JSON.stringify({ nftables: commands }), { json: true });
}

/** Lists all chains without their rules, or a table or chain with them; what is gone by now counts as empty. */
export function listRuleset(
  nft: Nftables,
  what: "chains" | ChainName | Omit<ChainName, "name">,
): Ruleset {
  const list = what === "chains"
    ? { chains: null }
    : "name" in what
    ? { chain: { family: what.family, table: what.table, name: what.name } }
    : { table: { family: what.family, name: what.table } };
  try {
    return parseRuleset(runCommands(nft, [{ list }]));
  } catch (error) {
    if (error instanceof NftablesError && isMissing(error)) return { chains: [], rules: [] };
    throw error;
  }
}

/** Whether nftables said that what was named does not exist. */
export function isMissing(error: NftablesError): boolean {
  return /No such file or directory/.test(error.output);
}

/** What names a chain. */
export type ChainName = Pick<Chain, "family" | "table" | "name">;

/** A chain as people name it: `ip filter FORWARD`. */
export function chainPath({ family, table, name }: ChainName): string {
  return `${family} ${table} ${name}`;
}

/** The target of an unconditional or conditional jump, undefined if the rule has none. */
export function jumpTarget(rule: Rule): string | undefined {
  for (const expression of rule.expr) {
    const verdict = expression["jump"] ?? expression["goto"];
    if (verdict !== undefined) return (verdict as { target?: string }).target;
  }
  return undefined;
}

/** Whether a statement ends a packet: nftables' own, or what iptables has for it. */
export function isDrop(statement: Expression): boolean {
  const xt = statement["xt"] as { type?: string; name?: string } | undefined;
  return "drop" in statement || "reject" in statement ||
    (xt?.type === "target" && (xt.name === "REJECT" || xt.name === "DROP"));
}

/** Whether a rule drops or rejects everything that reaches it. */
export function dropsAll(rule: Rule): boolean {
  const verdict = rule.expr.at(-1);
  if (verdict === undefined || !isDrop(verdict)) return false;
  return rule.expr.slice(0, -1).every((expression) =>
    "counter" in expression || "log" in expression
  );
}
