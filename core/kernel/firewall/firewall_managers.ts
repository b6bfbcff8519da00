/**
 * Recognises who else manages this host's firewall, and knows the commands to type for each.
 *
 * @module
 */
import { familyOf } from "../../base/address.ts";
import type { Chain } from "./ruleset.ts";

/** Something that the administrator has to do, because another program owns the rules. */
export interface FirewallAdvice {
  readonly manager: "firewalld" | "ufw" | "iptables-legacy";
  /** What was found. */
  readonly detail: string;
  /** Commands to type, in this order. */
  readonly commands: readonly string[];
}

/** A firewall manager that was found. */
export interface Manager {
  readonly advice: FirewallAdvice;
  /** Whether a chain is one that only this manager should write to. */
  readonly owns: (chain: Chain) => boolean;
  /** Its rules do not show among nftables': what they drop is not known. */
  readonly unseen?: boolean;
}

/** What is to be opened beside forwarding. */
export interface Openings {
  /** UDP port of the tunnel. */
  readonly port?: number | undefined;
  /** TCP and UDP port of the store that the hosts hold themselves. */
  readonly store?: number | undefined;
  /** Networks of virtual IPs, which containers have to get to through INPUT. */
  readonly services?: readonly string[];
  /** What goes out, too: the OUTPUT hook drops. */
  readonly out?: boolean;
}

/** What is left to do: for managers of chains that drop, and for those whose chains cannot be seen. */
export function stillNeeded(
  managers: readonly Manager[],
  dropping: readonly Chain[],
): FirewallAdvice[] {
  return managers.filter(({ owns, unseen }) => unseen || dropping.some(owns))
    .map(({ advice }) => advice);
}

/**
 * Finds firewalld and ufw by their chains and iptables-legacy by the kernel's list of its tables.
 *
 * @param legacyTables text of /proc/net/ip_tables_names (ip6_tables_names for IPv6).
 * @param open what is to be opened too; a number is the port of the tunnel.
 */
export function recognise(
  chains: readonly Chain[],
  legacyTables: string,
  network: string,
  open: Openings | number = {},
): Manager[] {
  const { port, store, services = [], out = false } = typeof open === "number"
    ? { port: open, store: undefined }
    : open;
  const ports = [
    ...(port === undefined ? [] : [{ port, protocol: "udp" }]),
    ...(store === undefined
      ? []
      : [{ port: store, protocol: "tcp" }, { port: store, protocol: "udp" }]),
  ];
  const found: Manager[] = [];
  const six = familyOf(network) === 6;
  if (chains.some((chain) => chain.table === "firewalld")) {
    found.push({
      owns: (chain) => chain.table === "firewalld",
      advice: {
        manager: "firewalld",
        detail: "firewalld manages this host's firewall",
        commands: [
          `firewall-cmd --permanent --zone=trusted --add-source=${network}`,
          ...ports.map(({ port, protocol }) =>
            `firewall-cmd --permanent --add-port=${port}/${protocol}`
          ),
          "firewall-cmd --reload",
        ],
      },
    });
  }
  if (chains.some((chain) => /^ufw6?-/.test(chain.name))) {
    found.push({
      owns: (chain) =>
        chains.some((other) =>
          other.family === chain.family && other.table === chain.table && /^ufw6?-/.test(other.name)
        ),
      advice: {
        manager: "ufw",
        detail: "ufw manages this host's firewall",
        commands: [
          `ufw route allow from ${network}`,
          `ufw route allow to ${network}`,
          ...services.map((one) => `ufw allow from ${network} to ${one}`),
          ...ports.map(({ port, protocol }) => `ufw allow ${port}/${protocol}`),
          ...(out && services.length > 0 ? [`ufw allow out from ${network}`] : []),
          ...(out ? ports : []).map(({ port, protocol }) => `ufw allow out ${port}/${protocol}`),
        ],
      },
    });
  }
  if (/^filter$/m.test(legacyTables)) {
    const program = six ? "ip6tables-legacy" : "iptables-legacy";
    found.push({
      owns: () => false,
      unseen: true,
      advice: {
        manager: "iptables-legacy",
        detail: `${program} rules are loaded, which nftables neither shows nor changes`,
        commands: [
          `${program} -I FORWARD -s ${network} -j ACCEPT`,
          `${program} -I FORWARD -d ${network} -j ACCEPT`,
          ...services.map((one) => `${program} -I INPUT -s ${network} -d ${one} -j ACCEPT`),
          ...ports.map(({ port, protocol }) =>
            `${program} -I INPUT -p ${protocol} --dport ${port} -j ACCEPT`
          ),
          // Its policies do not show: where nothing drops, these change nothing.
          ...(services.length === 0 ? [] : [`${program} -I OUTPUT -s ${network} -j ACCEPT`]),
          ...ports.map(({ port, protocol }) =>
            `${program} -I OUTPUT -p ${protocol} --dport ${port} -j ACCEPT`
          ),
        ],
      },
    });
  }
  return found;
}
