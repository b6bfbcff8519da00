/**
 * Doctor's look at other programs' rules: do they let forwarded packets and the tunnel pass?
 *
 * @module
 */
import { Nftables, NoNftablesError } from "../../../ffi/libnftables.ts";
import { hasLibrary } from "../../../ffi/load.ts";
import type { ClusterConfig } from "../../cluster/config.ts";
import { checkForward } from "../../kernel/firewall/forward.ts";
import { recognise } from "../../kernel/firewall/firewall_managers.ts";
import { TABLE } from "../../kernel/firewall/rules.ts";
import {
  type Chain,
  chainPath,
  dropsAll,
  listRuleset,
  type Rule,
} from "../../kernel/firewall/ruleset.ts";
import { legacyTables } from "../../kernel/firewall/firewall.ts";
import { type DoctorCheck, examine, type Finding, ok, skip, warn } from "./check.ts";

/** FORWARD, and INPUT for the tunnel's port. */
export async function firewallChecks(config: ClusterConfig): Promise<DoctorCheck[]> {
  const { backend } = config;
  return [
    await examine("firewall: forwarding", () => forward(config.network)),
    await examine(
      "firewall: tunnel",
      () =>
        backend.type === "host-gw"
          ? ok("host-gw needs no port")
          : input(config.network, backend.port),
    ),
  ];
}

const UNSEEN = "not seen without libnftables and nfnetlink";

/** Undefined where there is nothing to see; the check of the library says why. */
function open(): Nftables | undefined {
  if (!hasLibrary("libnftables.so.1")) return undefined;
  try {
    return new Nftables();
  } catch (error) {
    if (error instanceof NoNftablesError) return undefined;
    throw error;
  }
}

function forward(network: string): Finding {
  using nft = open();
  if (nft === undefined) return skip(UNSEEN);
  const { chains, advice } = checkForward(nft, network, legacyTables(4));
  if (advice.length > 0) {
    return warn(
      advice.map((one) => one.detail).join("; "),
      advice.flatMap((one) => one.commands).join("; "),
    );
  }
  return chains.length === 0
    ? ok("nothing drops forwarded packets")
    : ok(`${chains.join(", ")} drops; knet join adds its two rules there`);
}

function input(network: string, port: number): Finding {
  using nft = open();
  if (nft === undefined) return skip(UNSEEN);
  const { chains } = listRuleset(nft, "chains");
  const tables = new Map(
    chains.filter(isInput).map(({ family, table }) => [`${family} ${table}`, { family, table }]),
  );
  const rules = [...tables.values()].flatMap((table) => listRuleset(nft, table).rules);
  const closed = closedChains(chains, rules, port);
  const managers = recognise(chains, legacyTables(4), network, port);
  if (closed.length > 0) {
    const owners = managers.filter((manager) => closed.some((chain) => manager.owns(chain)));
    const commands = owners.flatMap(({ advice }) => advice.commands);
    return warn(
      `${
        closed.map(chainPath).join(", ")
      } drops what comes in, and no rule there accepts UDP port ${port}`,
      commands.length > 0
        ? commands.join("; ")
        : `Let the peers in, unless another rule does: nft insert rule ${
          chainPath(closed[0]!)
        } udp dport ${port} accept`,
    );
  }
  const legacy = managers.find(({ advice }) => advice.manager === "iptables-legacy");
  if (legacy !== undefined) return warn(legacy.advice.detail, legacy.advice.commands.join("; "));
  return ok(`nothing seen that drops UDP port ${port}`);
}

function isInput(chain: Chain): boolean {
  return chain.hook === "input" && chain.type === "filter" && chain.table !== TABLE &&
    (chain.family === "ip" || chain.family === "inet");
}

/** Input chains that drop by default, in tables where no rule accepts the UDP port. Pure. */
export function closedChains(
  chains: readonly Chain[],
  rules: readonly Rule[],
  port: number,
): Chain[] {
  return chains.filter(isInput).filter((chain) => {
    const near = rules.filter(({ family, table }) =>
      family === chain.family && table === chain.table
    );
    const last = near.filter((rule) => rule.chain === chain.name).at(-1);
    const drops = chain.policy === "drop" || (last !== undefined && dropsAll(last));
    return drops && !near.some((rule) => acceptsPort(rule, port));
  });
}

/** Whether a rule accepts datagrams to a port, alone or in a set or range. */
function acceptsPort(rule: Rule, port: number): boolean {
  if (!rule.expr.some((expression) => "accept" in expression)) return false;
  return rule.expr.some((expression) => {
    const match = expression["match"] as {
      op?: string;
      left?: { payload?: { protocol?: string; field?: string } };
      right?: unknown;
    } | undefined;
    const payload = match?.left?.payload;
    return match !== undefined && match.op !== "!=" && payload?.field === "dport" &&
      (payload.protocol === "udp" || payload.protocol === "th") && holds(match.right, port);
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
