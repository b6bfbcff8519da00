/**
 * knet's firewall: its own nftables table. (Its rules in foreign chains: passes.ts.) Rules are made by pure functions in
 * core/kernel/firewall/; here they meet the kernel.
 *
 * @module
 */
import { type Nftables, NftablesError } from "../../../ffi/libnftables.ts";
import { familyOf } from "../../base/address.ts";
import { plural } from "../../base/plural.ts";
import {
  type FirewallDesired,
  firewallRules,
  guardRules,
  PEER_SET,
  peerDeltaRules,
  removalRules,
  usablePeers,
} from "./rules.ts";
import { listElements, listRules } from "./listing.ts";
import { hasPorts, PORT_MAPS } from "./port_rules.ts";
import { familyOfSet, hasOtherVips, serviceDelta, type ServiceSets } from "./service_rules.ts";
import type { Family } from "../../cluster/lease.ts";

export { parseListing } from "./listing.ts";
export {
  hasLoopbackPorts,
  hasPorts,
  type PortMaps,
  portMaps,
  type PublishedPort,
} from "./port_rules.ts";
export { changePorts, readPorts } from "./ports.ts";
export { type FirewallAdvice, recognise } from "./firewall_managers.ts";
export { ensurePasses, legacyTables, removePasses } from "./passes.ts";
export type { TunnelEnd } from "./tunnel_rules.ts";
export { FORMER_MINUTES } from "./former_vips.ts";
export { type PassNeeds, serviceTargets } from "./local_hooks.ts";
export { type FirewallDesired, firewallRules, type GuardedTunnel } from "./rules.ts";
export {
  type Endpoint,
  isOpenSet,
  type ServiceSets,
  serviceSets,
  virtualIps,
  withoutEndpoints,
} from "./service_rules.ts";

/**
 * The table as the kernel listed it right after it was written. Comparing with that, rather than with
 * a listing foretold from the rules, holds for every version of libnftables.
 */
const written = new WeakMap<Nftables, { readonly key: string; readonly rules: string }>();

const keyOf = ({ peersOnly, services, ports, ...rest }: FirewallDesired) =>
  JSON.stringify([
    rest.network,
    rest.subnet,
    rest.bridge,
    rest.address,
    rest.ipMasq,
    rest.ifaces ?? [],
    peersOnly === undefined ? null : { ...peersOnly, peers: null },
    services !== undefined,
    hasOtherVips(services),
    hasPorts(ports),
    rest.serviceNetwork ?? null,
    rest.serviceExcept ?? [],
    rest.tunnelEnd ?? null,
  ]);

/**
 * Puts knet's table into place in one transaction, whatever was there before.
 *
 * @returns what had to be left out of it, undefined if nothing.
 * @throws {NftablesError} if the kernel refuses.
 */
export function applyFirewall(nft: Nftables, desired: FirewallDesired): string | undefined {
  let without: string | undefined;
  try {
    nft.run(firewallRules(desired));
  } catch (error) {
    if (!(error instanceof NftablesError) || desired.peersOnly === undefined) throw error;
    // An older kernel or library: the greater part of the guard is better than none.
    nft.run(firewallRules(desired, true));
    without = "The tunnel's guard keeps out neither users of this host nor forged addresses from " +
      `other bridges than ${desired.bridge}: ${error.message}`;
  }
  const other = familyOf(desired.network) === 4 ? 6 : 4;
  // A kernel without rules of that family has no table of it, and could not be told to delete one.
  if (!hasOtherVips(desired.services) && listRules(nft, other) !== undefined) {
    nft.run(removalRules(other).join("\n"));
  }
  written.set(nft, { key: keyOf(desired), rules: listOwn(nft, desired) ?? "" });
  return without;
}

/**
 * Guards the tunnel before it is there; what else knet's table has stays. Where the guard that this context wrote stands, nothing is done.
 *
 * @throws {NftablesError} if the kernel refuses.
 */
export function guardFirst(nft: Nftables, desired: FirewallDesired): void {
  const { peersOnly } = desired;
  if (peersOnly === undefined) return;
  const before = written.get(nft);
  const stands = before !== undefined && before.key === keyOf(desired) &&
    listOwn(nft, desired) === before.rules;
  if (stands) return;
  try {
    nft.run(guardRules(desired));
  } catch (error) {
    if (!(error instanceof NftablesError)) throw error;
    // An older kernel, or chains of an older knet in the way: the whole table then.
    applyFirewall(nft, desired);
  }
}

/**
 * Compares knet's table with what was written by the same context. Reads the whole table, peers
 * included: about 2 ms per thousand of them.
 *
 * @returns a sentence saying what is different, undefined if nothing is.
 */
export function checkFirewall(nft: Nftables, desired: FirewallDesired): string | undefined {
  const before = written.get(nft);
  if (before === undefined) return "this process has not written its nftables table yet";
  if (before.key !== keyOf(desired)) return "its nftables table should have other rules";
  const family = familyOf(desired.network);
  const rules = listOwn(nft, desired);
  if ((rules ?? "") !== before.rules) {
    return rules === undefined ? "its nftables table is gone" : "its nftables rules were changed";
  }
  const wanted = new Map([...desired.services ?? [], ...desired.ports ?? []]);
  if (desired.peersOnly !== undefined) {
    wanted.set(PEER_SET, usablePeers(desired.peersOnly.peers, family));
  }
  for (const [name, elements] of wanted) {
    const kind = PORT_MAPS.includes(name) ? "map" : "set";
    const present = listElements(nft, familyOfSet(name, family), name, kind);
    const difference = setDifference(name, new Set(elements), present);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

/** The same table, with all that the sets of the one in the kernel hold. */
export function withPresent(nft: Nftables, desired: FirewallDesired): FirewallDesired {
  const family = familyOf(desired.network);
  const both = (name: string, wanted: readonly string[]) => [
    ...new Set([...wanted, ...listElements(nft, family, name)]),
  ];
  const { peersOnly, services } = desired;
  return {
    ...desired,
    peersOnly: peersOnly && { ...peersOnly, peers: both(PEER_SET, peersOnly.peers) },
    services: services &&
      new Map([...services].map(([name, elements]) => [name, both(name, elements)])),
  };
}

function setDifference(
  name: string,
  wanted: ReadonlySet<string>,
  present: ReadonlySet<string>,
): string | undefined {
  const missing = [...wanted].filter((element) => !present.has(element)).length;
  const foreign = present.size - (wanted.size - missing);
  const peers = name === PEER_SET;
  const set = peers ? "its nftables set" : `its nftables set ${name}`;
  if (missing > 0) {
    const what = peers
      ? plural(missing, "peer is", "peers are")
      : plural(missing, "entry is", "entries are");
    return `${what} missing in ${set}`;
  }
  if (foreign > 0) {
    return peers
      ? `${plural(foreign, "address", "addresses")} of no peer in ${set}`
      : `${plural(foreign, "entry", "entries")} in ${set} too many`;
  }
  return undefined;
}

/**
 * Adds and removes peers, at the cost of those alone.
 *
 * @throws {NftablesError} if knet's table is gone: drift, to be met by {@linkcode applyFirewall}.
 */
export function peerDelta(
  nft: Nftables,
  add: readonly string[],
  remove: readonly string[],
  family: Family,
): void {
  const commands = peerDeltaRules(add, remove, family);
  if (commands !== "") nft.run(commands);
}

/**
 * Brings the sets of services from one state to another, at the cost of the difference.
 *
 * @throws {NftablesError} if knet's table has no such sets: drift, to be met by {@linkcode applyFirewall}.
 */
export function changeServiceSets(
  nft: Nftables,
  before: ServiceSets,
  after: ServiceSets,
  family: Family,
): void {
  const commands = serviceDelta(before, after, family);
  if (commands !== "") nft.run(commands);
}

/** Removes knet's table, if it is there. */
export function removeFirewall(nft: Nftables): void {
  for (const family of [4, 6] as const) {
    if (listRules(nft, family) !== undefined) nft.run(removalRules(family).join("\n"));
  }
  written.delete(nft);
}

/** Knet's table, and that of the other family where there are virtual IPs of it. */
function listOwn(nft: Nftables, { network, services }: FirewallDesired): string | undefined {
  const family = familyOf(network);
  const rules = listRules(nft, family);
  if (rules === undefined || !hasOtherVips(services)) return rules;
  const other = listRules(nft, family === 4 ? 6 : 4);
  return other === undefined ? undefined : rules + other;
}
