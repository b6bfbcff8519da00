/**
 * The packets that knet needs to pass the host's firewall, and which of them do not. Pure.
 *
 * @module
 */
import { familyOf } from "../../base/address.ts";
import type { Lease } from "../../cluster/lease.ts";
import { hostWays, type NodeState, overlayWays } from "../../cluster/node_state.ts";
import { type Chain, chainPath } from "../../kernel/firewall/ruleset.ts";
import { type Filters, type Hook, type Packet, verdictOf } from "../../kernel/firewall/verdict.ts";
import type { Service } from "../../services/service.ts";

/** A packet that has to pass. */
export interface Need {
  /** Which one it is, for people. */
  readonly what: string;
  readonly hooks: readonly Hook[];
  readonly packet: Packet;
}

/** What becomes of them. */
export interface Judged {
  /** Chains that drop some for sure, each with which. */
  readonly drops: readonly { readonly chain: Chain; readonly whats: readonly string[] }[];
  /** Chains that drop some unless a rule which is not understood accepts them. */
  readonly unsure: readonly Chain[];
}

/** As many peers, or real servers, are looked at: the rules that drop one and not another are few. */
const ENOUGH = 200;

/** Which packets do not pass. */
export function judge(filters: Filters, needs: readonly Need[]): Judged {
  const drops = new Map<string, { chain: Chain; whats: string[] }>();
  const unsure = new Map<string, Chain>();
  for (const { what, hooks, packet } of needs) {
    const { fate, chain } = verdictOf(filters, hooks, packet);
    if (fate === "passes") continue;
    const path = chainPath(chain!);
    if (fate === "unsure") unsure.set(path, chain!);
    else {
      const drop = drops.get(path) ?? { chain: chain!, whats: [] };
      drops.set(path, drop);
      if (!drop.whats.includes(what)) drop.whats.push(what);
    }
  }
  return { drops: [...drops.values()], unsure: [...unsure.values()] };
}

const named = (key: "iif" | "oif", name: string | undefined) =>
  name === undefined ? {} : { [key]: name };

/**
 * What containers of this host and of others send to each other.
 *
 * @param bridged Whether what stays on the bridge passes too (`bridge-nf-call-iptables`).
 */
export function forwardNeeds(
  network: string,
  state: NodeState | undefined,
  bridged = false,
): Need[] {
  const all = { family: familyOf(network), from: network, to: network, local: false };
  const ways = state === undefined ? [] : overlayWays(state);
  const hooks: Hook[] = ["prerouting", "forward", "postrouting"];
  const need = (what: string, iif: string | undefined, oif: string | undefined): Need => ({
    what,
    hooks,
    packet: { ...all, ...named("iif", iif), ...named("oif", oif) },
  });
  return [
    ...(ways.length === 0 ? [undefined] : ways).flatMap((way) => [
      need("to other hosts", state?.bridge, way),
      need("from other hosts", way, state?.bridge),
    ]),
    ...(bridged ? [need("from one to another on this host", state?.bridge, state?.bridge)] : []),
  ];
}

/** The tunnel's packets, from each peer and to it. */
export const tunnelNeeds = (
  port: number,
  leases: readonly Lease[],
  state: NodeState | undefined,
): Need[] => hostNeeds("udp", port, leases, state);

/** What hosts send each other that hold the store themselves: the store's streams, or the search for hosts. */
export const storeNeeds = (
  port: number,
  leases: readonly Lease[],
  state: NodeState | undefined,
  protocol: "tcp" | "udp" = "tcp",
): Need[] => hostNeeds(protocol, port, leases, state);

/** What goes to a port of hosts, from each peer and to it. */
function hostNeeds(
  protocol: "tcp" | "udp",
  port: number,
  leases: readonly Lease[],
  state: NodeState | undefined,
): Need[] {
  const own = state && leases.find(({ nodeId }) => nodeId === state.nodeId);
  const peers = leases.filter((lease) => lease !== own && lease.agentId !== "").slice(0, ENOUGH);
  const base = { family: 4, protocol, port } as const;
  const here = state === undefined ? {} : { to: state.publicIp };
  const there = state === undefined ? {} : { from: state.publicIp };
  // Without peers: from anywhere.
  const addresses = peers.length === 0 ? [undefined] : peers.map(({ publicIp }) => publicIp);
  const ways = state === undefined ? [] : hostWays(state);
  const pairs = addresses.flatMap((address) =>
    (ways.length === 0 ? [undefined] : ways).map((way) => ({ address, way }))
  );
  return pairs.flatMap(({ address, way }): Need[] => [
    {
      what: address === undefined ? "from peers" : `from ${address}`,
      hooks: ["prerouting", "input"],
      packet: {
        ...base,
        ...here,
        ...(address !== undefined && { from: address }),
        ...named("iif", way),
        local: true,
      },
    },
    {
      what: address === undefined ? "to peers" : `to ${address}`,
      hooks: ["output", "postrouting"],
      packet: {
        ...base,
        ...there,
        ...(address !== undefined && { to: address }),
        ...named("oif", way),
        local: false,
      },
    },
  ]);
}

/** What containers send to virtual IPs: in, where IPVS takes it, and out to a real server. */
export function serviceNeeds(
  services: readonly Service[],
  network: string,
  state: NodeState | undefined,
): Need[] {
  const family = familyOf(network);
  return services.filter(({ vip }) => familyOf(vip) === family).slice(0, ENOUGH).flatMap(
    ({ name, vip, port, protocol, destinations, forward }): Need[] => [
      {
        what: `"${name}" (${vip}, ${protocol} port ${port})`,
        hooks: ["prerouting", "input"],
        packet: {
          family,
          protocol,
          port,
          from: network,
          to: vip,
          ...named("iif", state?.bridge),
          local: true,
        },
      },
      ...(forward === "nat" ? destinations.slice(0, ENOUGH) : []).map((one): Need => ({
        what: `"${name}" to ${one.address}, ${protocol} port ${one.port}`,
        hooks: ["output"],
        packet: {
          family,
          protocol,
          port: one.port,
          from: network,
          to: one.address,
          local: false,
        },
      })),
    ],
  );
}
