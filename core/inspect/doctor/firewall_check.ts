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
import { closedChains, readInput } from "../input_chains.ts";
import { chainPath } from "../../kernel/firewall/ruleset.ts";
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
    await examine("firewall: services", () => services(config.network)),
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
  const { chains, rules } = readInput(nft);
  const closed = closedChains(chains, rules, { protocol: "udp", port });
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

/** Virtual IPs are this host's own addresses: what is for them goes through INPUT before IPVS has it. */
function services(network: string): Finding {
  using nft = open();
  if (nft === undefined) return skip(UNSEEN);
  const { chains, rules } = readInput(nft);
  const [closed] = closedChains(chains, rules, { protocol: "tcp", from: network });
  if (closed === undefined) return ok(`nothing seen that drops what comes from ${network}`);
  const managers = recognise(chains, legacyTables(4), network);
  const owner = managers.find((manager) => manager.owns(closed))?.advice;
  return warn(
    `${chainPath(closed)} drops what comes in, and no rule there accepts all that comes from ` +
      `${network}: services time out for containers`,
    owner?.manager === "ufw" ? `ufw allow from ${network}` : owner?.commands.join("; ") ??
      `nft insert rule ${chainPath(closed)} ip saddr ${network} accept`,
  );
}
