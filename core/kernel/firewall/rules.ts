/**
 * The text of knet's own nftables table. Pure: desired state in, commands of nft(8) out.
 *
 * @module
 */
import { familyOf, parsePrefix } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import {
  otherTable,
  REFUSAL_SETS,
  refusals,
  serviceObjects,
  serviceRules,
  type ServiceSets,
} from "./service_rules.ts";
import { type TunnelEnd, tunnelObjects, tunnelRules } from "./tunnel_rules.ts";
import { hasPorts, type PortMaps, portObjects } from "./port_rules.ts";
import { chain, type GuardedTunnel, guardObjects } from "./guard.ts";
import { familyWord, TABLE } from "./table.ts";

export { familyWord, TABLE } from "./table.ts";
export { type GuardedTunnel, PEER_SET, peerDeltaRules, usablePeers } from "./guard.ts";

/** What knet's table should do. */
export interface FirewallDesired {
  /** The cluster network. */
  readonly network: string;
  /** This host's subnet. */
  readonly subnet: string;
  /** This host's own address on the underlay. */
  readonly address: string;
  /** Name of the bridge that containers are attached to. */
  readonly bridge: string;
  /** Rewrite the source of what leaves the cluster network. */
  readonly ipMasq: boolean;
  /** The interfaces by which the hosts are reached: the underlay's, or those that lead there where it only holds the address. */
  readonly ifaces?: readonly string[];
  /** The tunnel that only peers may send to; undefined: there is none, or everybody may. */
  readonly peersOnly: GuardedTunnel | undefined;
  /** Network whose addresses are services' or nobody's; absent: what is there is left alone. */
  readonly serviceNetwork?: string | undefined;
  /** Parts of it that are left alone all the same. */
  readonly serviceExcept?: readonly string[];
  /** Which services are masqueraded; absent: there are none, nor rules for them. */
  readonly services?: ServiceSets | undefined;
  /** Ports of this host that lead into its containers; absent: there are none, nor rules for them. */
  readonly ports?: PortMaps | undefined;
  /** Whether this host takes IPIP, as a real server of services; absent: it does not. */
  readonly tunnelEnd?: TunnelEnd | undefined;
}

const MULTICAST: Record<Family, string> = { 4: "224.0.0.0/4", 6: "ff00::/8" };

/**
 * The commands that put knet's table into place, whatever was there before, as one transaction. The
 * table is deleted and made anew, since nftables has no "make it be so"; nothing passes in between, and
 * connections that are translated already stay so.
 *
 * Masquerading is flannel's: what stays inside the cluster network keeps its source; what leaves it
 * does not, multicast apart; what comes from outside for this host's own containers keeps it, and
 * what comes from outside for another host's is masqueraded, because the answer would otherwise take
 * another way back.
 *
 * @param plain For kernels that do not know all that the guard asks, see {@linkcode guardObjects}.
 * @throws {SyntaxError} if a prefix or address is malformed: nothing unchecked goes into the commands.
 */
export function firewallRules(desired: FirewallDesired, plain = false): string {
  const family = familyOf(checkPrefix(desired.network));
  const word = familyWord(family);
  const lines = removalRules(family);
  const chains: string[] = [];
  if (desired.peersOnly !== undefined) chains.push(...guardOf(desired, plain));
  const out: string[] = [];
  const { network, services } = desired;
  const subnet = checkPrefix(desired.subnet);
  if (services !== undefined) {
    chains.push(...serviceObjects(services, network, subnet));
    out.push(...serviceRules(family));
    const { address } = desired;
    if (familyOf(address) === family) {
      const rules = tunnelRules(address, REFUSAL_SETS);
      chains.push(chain("nat-in", "nat hook prerouting priority -100", rules));
    }
  }
  const { serviceNetwork, serviceExcept = [] } = desired;
  for (const one of [serviceNetwork, ...serviceExcept]) if (one !== undefined) checkPrefix(one);
  const sets = services === undefined ? undefined : REFUSAL_SETS;
  chains.push(...refusals(family, sets, serviceNetwork, serviceExcept));
  chains.push(...tunnelObjects(desired, sets));
  const { ports, bridge } = desired;
  if (ports !== undefined && hasPorts(ports)) {
    chains.push(...portObjects(ports, { subnet, bridge, vips: sets?.vips }));
  }
  if (desired.ipMasq) {
    out.push(
      `${word} saddr ${network} ${word} daddr ${network} return`,
      `${word} saddr ${network} ${word} daddr != ${MULTICAST[family]} masquerade fully-random`,
      `${word} saddr != ${network} ${word} daddr ${subnet} return`,
      `${word} saddr != ${network} ${word} daddr ${network} masquerade fully-random`,
    );
  }
  if (out.length > 0) chains.push(chain("nat-out", "nat hook postrouting priority 100", out));
  if (chains.length > 0) lines.push(`table ${word} ${TABLE} {\n${chains.join("\n")}\n}`);
  const other = services && otherTable(services, family);
  if (other !== undefined) lines.push(...removalRules(family === 4 ? 6 : 4), other);
  return lines.join("\n") + "\n";
}

/**
 * The commands that put the guard into place beside whatever the table has: before the tunnel is there, or leads elsewhere. What is
 * guarded already stays so, and the sets are only added to; {@linkcode firewallRules} come after it.
 *
 * @returns empty text if nothing is to be guarded.
 */
export function guardRules(desired: FirewallDesired, plain = false): string {
  const objects = guardOf(desired, plain).join("\n");
  if (objects === "") return "";
  const family = familyOf(checkPrefix(desired.network));
  return `table ${familyWord(family)} ${TABLE} {\n${objects}\n}\n`;
}

function guardOf(desired: FirewallDesired, plain: boolean): string[] {
  const { network, peersOnly, bridge, ifaces } = desired;
  if (peersOnly === undefined) return [];
  const options = { bridge, plain, ...(ifaces !== undefined && { ifaces }) };
  return guardObjects(peersOnly, familyOf(network), options);
}

/** The commands that remove knet's table, present or not. */
export function removalRules(family: Family): string[] {
  const table = `table ${familyWord(family)} ${TABLE}`;
  return [`add ${table}`, `delete ${table}`];
}

function checkPrefix(text: string): string {
  parsePrefix(text);
  return text;
}
