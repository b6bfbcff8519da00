/**
 * knet's rules in foreign chains that drop what is its to carry, and what has to be left to the administrator.
 *
 * @module
 */
import { readSmallFile } from "../../../ffi/file.ts";
import { type Nftables, NftablesError } from "../../../ffi/libnftables.ts";
import { familyOf } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import type { FirewallAdvice } from "./firewall_managers.ts";
import { checkForward, forwardRemoval, readRules } from "./forward.ts";
import { checkLocal, localRemoval, type PassNeeds, readLocalRules } from "./local_hooks.ts";
import { isMissing, listRuleset, runCommands } from "./ruleset.ts";

/** What {@linkcode ensurePasses} found and did. */
export interface PassState {
  /** Chains that hold knet's rules now; none: nothing drops. */
  readonly chains: readonly string[];
  /** Whether rules had to be added or removed. */
  readonly changed: boolean;
  /** What knet leaves to the administrator: firewalld's, ufw's and iptables-legacy's own rules. */
  readonly advice: readonly FirewallAdvice[];
}

/**
 * Makes packets from and to the network pass where a foreign chain drops what is forwarded, and the tunnel and what containers send to
 * virtual IPs where one drops what comes in or goes out: adds knet's rules where they are missing, removes those of an earlier network
 * and those not needed any more.
 *
 * @throws {NftablesError} if the kernel refuses.
 */
export function ensurePasses(nft: Nftables, needs: PassNeeds): PassState {
  const { network } = needs;
  for (let attempt = 0;; attempt++) {
    const legacy = legacyTables(familyOf(network));
    const forward = checkForward(nft, network, legacy);
    const local = checkLocal(nft, needs, legacy);
    const commands = [...forward.commands, ...local.commands];
    const chains = [...forward.chains, ...local.chains];
    // Those of the local hooks have all that the others have.
    const known = new Set(local.advice.map(({ manager }) => manager));
    const advice = [...local.advice, ...forward.advice.filter((one) => !known.has(one.manager))];
    if (commands.length === 0) return { chains, changed: attempt > 0, advice };
    try {
      runCommands(nft, commands);
      return { chains, changed: true, advice };
    } catch (error) {
      // Docker or iptables changed the chain between reading and writing: look again.
      if (!(error instanceof NftablesError && isMissing(error)) || attempt === 3) throw error;
    }
  }
}

/** Removes knet's rules from foreign chains. */
export function removePasses(nft: Nftables): void {
  const { chains } = listRuleset(nft, "chains");
  const commands = ["0.0.0.0/0", "::/0"].flatMap((any) => [
    ...forwardRemoval(readRules(nft, chains, any)),
    ...localRemoval(readLocalRules(nft, chains, any)),
  ]);
  // A chain of family inet is read for both families.
  const once = new Map(commands.map((command) => [JSON.stringify(command), command]));
  if (once.size > 0) runCommands(nft, [...once.values()]);
}

/** Tables of iptables-legacy, as the kernel lists them for the namespace the thread is in. */
export function legacyTables(family: Family): string {
  const file = family === 6 ? "ip6_tables_names" : "ip_tables_names";
  return readSmallFile(`/proc/thread-self/net/${file}`) ?? "";
}
