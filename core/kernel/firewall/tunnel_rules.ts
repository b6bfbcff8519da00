/**
 * IPIP, by which services' packets get to real servers: who may send it to a host that is one, and what may be in it. Pure.
 *
 * The kernel's device tunl0 takes IPIP from anybody, and what was in it is routed on: to containers, to virtual IPs, past whatever the
 * administrator made of sources. Here it is taken from peers alone, and only what is for a service comes out. A device that was
 * somebody else's before stays what it was for everything else.
 *
 * @module
 */
import { familyOf, parsePrefix } from "../../base/address.ts";
import { chain, notBy } from "./guard.ts";
import { familyWord } from "./table.ts";

/** Public addresses of the other hosts, if there are services by direct routing or tunnels. */
export const DIRECTORS = "svc-directors";

/** Whose tunl0 is on a host that takes IPIP: nobody's but services', or somebody else's, too. */
export type TunnelEnd = "own" | "shared";

/** What the rules are made from. */
export interface TunnelFacts {
  /** The cluster network. */
  readonly network: string;
  /** This host's subnet. */
  readonly subnet: string;
  /** Name of the bridge that containers are attached to. */
  readonly bridge: string;
  /** The interfaces by which the hosts are reached. */
  readonly ifaces?: readonly string[];
  /** Undefined: this host takes no IPIP. */
  readonly tunnelEnd?: TunnelEnd | undefined;
}

/** Names of the sets of services that the rules look at. */
export interface TunnelSets {
  readonly vips: string;
  readonly open: string;
}

/**
 * Upper half of skb->priority of IPIP that a peer sent; what was in it has it still. From the network packets come with at most 7.
 * It is taken off before anything looks at it.
 */
const TRUSTED = "0x6b6f0000";

const IPIP = "meta l4proto 4";

/**
 * The chains, as part of a table. Empty for IPv6: there is no such tunnel.
 *
 * @param sets services; undefined if there are none.
 */
export function tunnelObjects(facts: TunnelFacts, sets: TunnelSets | undefined): string[] {
  const { network, subnet, bridge, ifaces = [], tunnelEnd } = facts;
  if (sets === undefined || familyOf(network) !== 4) return [];
  const word = familyWord(4);
  const elsewhere = notBy(ifaces);
  const overlaid = hostBits(subnet);
  const chains = [
    // A container's own would be masqueraded on the way, and come from a peer.
    chain("svc-tunnel-forward", "filter hook forward priority -300", [
      `${IPIP} ${word} daddr @${DIRECTORS} ${word} saddr != @${DIRECTORS} counter drop`,
      `${IPIP} ${word} saddr @${DIRECTORS} ${elsewhere}fib saddr . iif oif missing counter drop`,
      `${IPIP} iifname "${bridge}" ${overlaid} counter drop`,
    ]),
  ];
  if (tunnelEnd === undefined) return chains;
  const trust = `meta priority set meta priority | ${TRUSTED}`;
  const trusted = `iifname "tunl0" meta priority & 0xffff0000 == ${TRUSTED}`;
  const accept = "meta priority set meta priority & 0x0000ffff counter accept";
  return [
    ...chains,
    chain("svc-tunnel-input", "filter hook input priority -300", [
      `${IPIP} ${word} saddr @${DIRECTORS} ${trust}`,
      // A host that asks by the overlay has the first address of its subnet there, which no container has.
      `${IPIP} iifname != "${bridge}" ${word} saddr ${network} ${overlaid} ` +
      `fib saddr . iif oif exists ${trust}`,
    ]),
    chain("svc-tunnel-end", "filter hook prerouting priority -300", [
      `${trusted} ${word} daddr . meta l4proto . th dport @${sets.open} ${accept}`,
      `${trusted} ${word} daddr @${sets.vips} meta l4proto 1 ${accept}`,
      ...(tunnelEnd === "own" ? [`iifname "tunl0" counter drop`] : [
        `iifname "tunl0" ${word} daddr @${sets.vips} counter drop`,
        `iifname "tunl0" ${word} daddr ${network} counter drop`,
      ]),
    ]),
  ];
}

/** Matches the first address of any subnet as long as this one. */
function hostBits(subnet: string): string {
  const { length } = parsePrefix(subnet);
  const bits = 2 ** (32 - length) - 1;
  const mask = [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join(".");
  return `ip saddr & ${mask} == 0.0.0.0`;
}

/**
 * What comes through a tunnel was balanced already, by the host that sent it: it is for a server on this host itself. Left as it is,
 * this host would balance it once more, and send it on. Of the virtual IP's other ports nothing is handed over: whoever can send a
 * tunnelled packet would reach those of the host by them.
 *
 * @param address this host's own.
 */
export function tunnelRules(address: string, { open }: Pick<TunnelSets, "open">): string[] {
  const word = familyWord(familyOf(address));
  return [
    `iifname "tunl0" ${word} daddr . meta l4proto . th dport @${open} counter dnat to ${address}`,
  ];
}
