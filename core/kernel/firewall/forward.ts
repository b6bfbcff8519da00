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
import { type FirewallAdvice, recognise } from "./firewall_managers.ts";
import { familyWord } from "./rules.ts";
import {
  type Chain,
  chainPath,
  dropsAll,
  type Expression,
  jumpTarget,
  listRuleset,
  type NftCommand,
  type Rule,
} from "./ruleset.ts";

/** Comment of the rules that knet keeps in foreign chains. */
export const COMMENT = "knet";

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
 * Rules that stand anywhere in their chain are left where they are: an administrator who puts a drop
 * before them means it.
 *
 * @param chains all chains of the host.
 * @param rules the rules of all chains that {@linkcode chainsToRead} names.
 * @param legacyTables text of /proc/net/ip_tables_names.
 */
export function planForward(
  chains: readonly Chain[],
  rules: readonly Rule[],
  network: string,
  legacyTables = "",
): ForwardPlan {
  parsePrefix(network);
  const wanted: Chain[] = [];
  const managers = recognise(chains, legacyTables, network);
  for (const chain of forwardChains(chains, network)) {
    const own = rulesOf(rules, chain);
    const last = own.at(-1);
    const drops = chain.policy === "drop" || (last !== undefined && dropsAll(last));
    if (!drops) continue;
    const docker = chains.find((other) =>
      sameTable(other, chain) && other.name === "DOCKER-USER" &&
      own.some((rule) => jumpTarget(rule) === other.name)
    );
    if (docker !== undefined) wanted.push(docker);
    else if (!managers.some((manager) => manager.owns(chain))) wanted.push(chain);
  }
  const paths = wanted.map(chainPath);
  const seen = new Set<string>();
  const commands: NftCommand[] = [];
  for (const rule of rules) {
    if (rule.comment !== COMMENT) continue;
    const path = chainPath({ ...rule, name: rule.chain });
    const matches = matchText(rule);
    const key = `${path} ${matches}`;
    if (
      paths.includes(path) && matches !== undefined && !seen.has(key) && isOurs(matches, network)
    ) {
      seen.add(key);
    } else if (matches !== undefined) {
      commands.push(deletion(rule));
    }
  }
  for (const chain of wanted) {
    for (const field of FIELDS) {
      if (seen.has(`${chainPath(chain)} ${matchOf(network, field)}`)) continue;
      commands.push(insertion(chain, network, field));
    }
  }
  return { chains: paths, commands, advice: managers.map(({ advice }) => advice) };
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
  return rules.filter((rule) => rule.comment === COMMENT && matchText(rule) !== undefined)
    .map(deletion);
}

/** Reads what {@linkcode planForward} needs and plans. */
export function checkForward(nft: Nftables, network: string, legacyTables?: string): ForwardPlan {
  const { chains } = listRuleset(nft, "chains");
  return planForward(chains, readRules(nft, chains, network), network, legacyTables);
}

/** The rules that {@linkcode chainsToRead} names. */
export function readRules(nft: Nftables, chains: readonly Chain[], network: string): Rule[] {
  return chainsToRead(chains, network).flatMap((chain) =>
    rulesOf(listRuleset(nft, chain).rules, chain)
  );
}

function rulesOf(rules: readonly Rule[], chain: Chain): Rule[] {
  return rules.filter((rule) => sameTable(rule, chain) && rule.chain === chain.name);
}

function sameTable(
  a: { family: string; table: string },
  b: { family: string; table: string },
): boolean {
  return a.family === b.family && a.table === b.table;
}

const FIELDS = ["daddr", "saddr"] as const;

function matchOf(network: string, field: string): string {
  return `${familyWord(familyOf(network))} ${field} ${network}`;
}

function isOurs(match: string, network: string): boolean {
  return FIELDS.some((field) => match === matchOf(network, field));
}

function deletion({ family, table, chain, handle }: Rule): NftCommand {
  return { delete: { rule: { family, table, chain, handle } } };
}

function insertion({ family, table, name }: Chain, network: string, field: string): NftCommand {
  const { address: addr, length: len, family: version } = parsePrefix(network);
  const expr: Expression[] = [
    {
      match: {
        op: "==",
        left: { payload: { protocol: familyWord(version), field } },
        right: { prefix: { addr, len } },
      },
    },
    { counter: null },
    { accept: null },
  ];
  return { insert: { rule: { family, table, chain: name, expr, comment: COMMENT } } };
}

/** `ip saddr 10.244.0.0/16` of a rule that has our form; undefined: somebody else's, comment or not. */
function matchText(rule: Rule): string | undefined {
  const [first, ...rest] = rule.expr.filter((expression) => !("counter" in expression));
  if (rest.length !== 1 || !("accept" in rest[0]!)) return undefined;
  const match = first?.["match"] as {
    op?: string;
    left?: { payload?: { protocol?: string; field?: string } };
    right?: { prefix?: { addr?: string; len?: number } } | string;
  } | undefined;
  const { protocol, field } = match?.left?.payload ?? {};
  if (match?.op !== "==" || (field !== "saddr" && field !== "daddr")) return undefined;
  if (typeof match.right === "string" || match.right?.prefix === undefined) return undefined;
  const { addr, len } = match.right.prefix;
  return `${protocol} ${field} ${addr}/${len}`;
}
