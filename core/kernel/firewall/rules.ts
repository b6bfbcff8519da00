/**
 * The text of knet's own nftables table. Pure: desired state in, commands of nft(8) out.
 *
 * @module
 */
import { familyOf, parsePrefix } from "../../base/address.ts";
import type { Family } from "../../cluster/lease.ts";
import { serviceObjects, serviceRules, type ServiceSets, tunnelRules } from "./service_rules.ts";
import { familyWord, TABLE } from "./table.ts";

export { familyWord, TABLE } from "./table.ts";
/** Name of the set of peers' public addresses. */
export const PEER_SET = "peers";

/** Who may send datagrams to the tunnel's port. */
export interface PeersOnly {
  /** UDP port of the tunnel on this host. */
  readonly port: number;
  /** Public addresses of the peers. */
  readonly peers: readonly string[];
}

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
  /** Undefined: no such drop. */
  readonly peersOnly: PeersOnly | undefined;
  /** Which services are masqueraded; absent: there are none, nor rules for them. */
  readonly services?: ServiceSets | undefined;
}

const MULTICAST: Record<Family, string> = { 4: "224.0.0.0/4", 6: "ff00::/8" };
const SET_TYPE: Record<Family, string> = { 4: "ipv4_addr", 6: "ipv6_addr" };

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
 * The drop sits in the input hook: it then sees what is for this host and nothing that merely passes,
 * such as datagrams to port 8472 between two containers. What comes out of the overlay itself is no
 * peer's, whatever address it bears.
 *
 * @throws {SyntaxError} if a prefix or address is malformed: nothing unchecked goes into the commands.
 */
export function firewallRules(desired: FirewallDesired): string {
  const family = familyOf(checkPrefix(desired.network));
  const word = familyWord(family);
  const lines = removalRules(family);
  const chains: string[] = [];
  if (desired.peersOnly !== undefined) {
    const { port, peers } = desired.peersOnly;
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`Cannot guard UDP port ${port}: it is not between 1 and 65535`);
    }
    const set = peers.length === 0 ? "" : `elements = { ${peers.map(checkAddress).join(", ")} }\n`;
    chains.push(
      `set ${PEER_SET} {\ntype ${SET_TYPE[family]}\n${set}}`,
      chain("guard", "filter hook input priority -300", [
        ...overlayDevices(desired.bridge).map((name) =>
          `iifname "${name}" udp dport ${port} counter drop`
        ),
        `iifname != "lo" udp dport ${port} ${word} saddr != @${PEER_SET} counter drop`,
      ]),
    );
  }
  const out: string[] = [];
  const { network, services } = desired;
  const subnet = checkPrefix(desired.subnet);
  if (services !== undefined) {
    chains.push(...serviceObjects(services, network, subnet));
    out.push(...serviceRules(family));
    const { address } = desired;
    if (familyOf(checkAddress(address)) === family) {
      chains.push(chain("nat-in", "nat hook prerouting priority -100", tunnelRules(address)));
    }
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
  return lines.join("\n") + "\n";
}

/** The commands that remove knet's table, present or not. */
export function removalRules(family: Family): string[] {
  const table = `table ${familyWord(family)} ${TABLE}`;
  return [`add ${table}`, `delete ${table}`];
}

/**
 * The commands that add and remove peers and touch nothing else. Either may be there or gone already.
 *
 * @returns empty text if there is nothing to do.
 */
export function peerDeltaRules(add: readonly string[], remove: readonly string[]): string {
  const lines: string[] = [];
  for (const family of [4, 6] as const) {
    const of = (addresses: readonly string[]) =>
      addresses.filter((address) => familyOf(checkAddress(address)) === family).join(", ");
    const element = (verb: string, addresses: string) =>
      `${verb} element ${familyWord(family)} ${TABLE} ${PEER_SET} { ${addresses} }`;
    const leaving = of(remove);
    // Deleting what is not there would fail the transaction, adding what is there does not.
    if (leaving !== "") lines.push(element("add", leaving), element("delete", leaving));
    const coming = of(add);
    if (coming !== "") lines.push(element("add", coming));
  }
  return lines.join("\n");
}

/** Names of the devices behind which there are containers; `knet*` is nftables' pattern. */
function overlayDevices(bridge: string): string[] {
  if (!/^[^\s"*/\\]{1,15}$/.test(bridge)) {
    throw new SyntaxError(`Cannot name the bridge "${bridge}" in a rule: not an interface name`);
  }
  return bridge.startsWith(TABLE) ? ["knet*"] : ["knet*", bridge];
}

function chain(name: string, hook: string, rules: readonly string[]): string {
  return `chain ${name} {\ntype ${hook}; policy accept;\n${rules.join("\n")}\n}`;
}

function checkPrefix(text: string): string {
  parsePrefix(text);
  return text;
}

function checkAddress(text: string): string {
  familyOf(text);
  if (!/^[0-9a-f.:]+$/i.test(text)) {
    throw new SyntaxError(`Cannot use "${text}" as a peer's address: malformed`);
  }
  return text;
}
