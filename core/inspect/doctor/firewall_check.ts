/**
 * Doctor's look at other programs' rules: do they let pass what containers send, the tunnel, and what is for services?
 *
 * @module
 */
import { Nftables, NoNftablesError } from "../../../ffi/libnftables.ts";
import { hasLibrary } from "../../../ffi/load.ts";
import { readSysctl } from "../../../ffi/sysctl.ts";
import type { ClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { NodeState } from "../../cluster/node_state.ts";
import { legacyTables, serviceTargets } from "../../kernel/firewall/firewall.ts";
import { type Openings, recognise } from "../../kernel/firewall/firewall_managers.ts";
import { checkForward } from "../../kernel/firewall/forward.ts";
import { chainPath } from "../../kernel/firewall/ruleset.ts";
import { readFilters } from "../../kernel/firewall/verdict.ts";
import type { Service } from "../../services/service.ts";
import {
  forwardNeeds,
  judge,
  type Judged,
  type Need,
  serviceNeeds,
  storeNeeds,
  tunnelNeeds,
} from "./needs.ts";
import { type DoctorCheck, examine, type Finding, ok, skip, warn } from "./check.ts";

/** What the checks look at. */
export interface FirewallFacts {
  readonly config: ClusterConfig;
  readonly leases: readonly Lease[];
  readonly services: readonly Service[];
  /** What the agent wrote down, if this host has joined. */
  readonly state: NodeState | undefined;
  /** TCP port of the store, if the hosts hold it themselves. */
  readonly store?: number | undefined;
}

/** FORWARD for containers, INPUT and OUTPUT for the tunnel and for services. */
export async function firewallChecks(facts: FirewallFacts): Promise<DoctorCheck[]> {
  const { config: { network, serviceNetwork, backend }, services, store } = facts;
  return [
    await examine("firewall: forwarding", () => seen((nft) => forward(nft, facts))),
    await examine(
      "firewall: tunnel",
      () =>
        backend.type === "host-gw" ? ok("host-gw needs no port") : seen((nft) =>
          look(nft, facts, {
            needs: tunnelNeeds(backend.port, facts.leases, facts.state),
            what: `UDP port ${backend.port}`,
            open: { port: backend.port },
            rule: () => `udp dport ${backend.port} accept`,
          })
        ),
    ),
    ...(store === undefined ? [] : [
      await examine("firewall: store", () =>
        seen((nft) =>
          look(nft, facts, {
            needs: storeNeeds(store, facts.leases, facts.state),
            what: `TCP port ${store}`,
            open: { store },
            rule: () => `tcp dport ${store} accept`,
          })
        )),
      await examine("firewall: search", () =>
        seen((nft) =>
          look(nft, facts, {
            needs: storeNeeds(store, facts.leases, facts.state, "udp"),
            what: `UDP port ${store}`,
            open: { store },
            rule: () => `udp dport ${store} accept`,
          })
        )),
    ]),
    await examine(
      "firewall: services",
      () =>
        services.length === 0 ? ok("there is no service") : seen((nft) =>
          look(nft, facts, {
            needs: serviceNeeds(services, network, facts.state),
            what: "what containers send to services",
            open: { services: serviceTargets(services.map(({ vip }) => vip), serviceNetwork) },
            rule: () => `ip saddr ${network} accept`,
          })
        ),
    ),
  ];
}

/** What there is nothing to see of is said by the check of the library. */
function seen(run: (nft: Nftables) => Finding): Finding {
  const unseen = skip("not seen without libnftables and nfnetlink");
  if (!hasLibrary("libnftables.so.1")) return unseen;
  try {
    using nft = new Nftables();
    return run(nft);
  } catch (error) {
    if (error instanceof NoNftablesError) return unseen;
    throw error;
  }
}

function forward(nft: Nftables, facts: FirewallFacts): Finding {
  const { network } = facts.config;
  const bridged = readSysctl("net.bridge.bridge-nf-call-iptables") === "1";
  const plan = checkForward(nft, network, legacyTables(4));
  const found = look(nft, facts, {
    needs: forwardNeeds(network, facts.state, bridged),
    what: "what containers send and get",
    rule: (chain) =>
      `ip saddr ${network} accept; nft insert rule ${chain} ip daddr ${network} accept`,
    // In a chain of the same table, if it is Docker's.
    mended: ({ chain: { family, table } }) =>
      plan.chains.some((path) => path.startsWith(`${family} ${table} `)),
  });
  if (found.status !== "ok" || plan.chains.length === 0) return found;
  return ok(`${plan.chains.join(", ")} drops; knet join adds its two rules there`);
}

const WAYS: Readonly<Record<string, string>> = {
  prerouting: "what comes in",
  input: "what comes in",
  forward: "what is forwarded",
  output: "what goes out",
  postrouting: "what goes out",
};

interface Look {
  readonly needs: readonly Need[];
  /** What is to pass, in words. */
  readonly what: string;
  /** What has to be opened beside forwarding. */
  readonly open?: Openings;
  /** What a rule has to say that lets it pass. */
  readonly rule: (chain: string) => string;
  /** Whether knet itself lets it pass there. */
  readonly mended?: (drop: Judged["drops"][number]) => boolean;
}

function look(
  nft: Nftables,
  { config: { network } }: FirewallFacts,
  { needs, what, open = {}, rule, mended = () => false }: Look,
): Finding {
  const filters = readFilters(nft);
  const { drops, unsure } = judge(filters, needs);
  const [drop] = drops.filter((one) => !mended(one));
  const out = drop?.chain.hook === "output";
  const managers = recognise(filters.chains, legacyTables(4), network, { ...open, out });
  if (drop !== undefined) {
    const path = chainPath(drop.chain);
    const owner = managers.find((manager) => manager.owns(drop.chain))?.advice;
    const who = owner === undefined ? "" : `; ${owner.detail}`;
    const more = drop.whats.length > 3 ? ` and ${drop.whats.length - 3} more` : "";
    return warn(
      `${path} drops ${WAYS[drop.chain.hook ?? ""] ?? "what passes"}, also ${what}: ${
        drop.whats.slice(0, 3).join(", ")
      }${more}${who}`,
      owner?.commands.join("; ") ?? `nft insert rule ${path} ${rule(path)}`,
    );
  }
  const legacy = managers.find(({ advice }) => advice.manager === "iptables-legacy");
  if (legacy !== undefined) return warn(legacy.advice.detail, legacy.advice.commands.join("; "));
  const [doubt] = unsure;
  if (doubt === undefined) return ok(`nothing seen that drops ${what}`);
  return ok(
    `${chainPath(doubt)} drops ${what}, unless a rule there that is not understood here accepts it`,
  );
}
