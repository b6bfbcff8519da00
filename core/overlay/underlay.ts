/**
 * The underlay: the interface and address by which the other hosts reach this one.
 *
 * Once chosen it stays as long as the host has it: other hosts know it, and a VPN or a virtual address that comes and goes is no reason
 * to move every peer's tunnel. Pure; what it is read from is in underlay_facts.ts.
 *
 * @module
 */
import { IFF_LOOPBACK } from "../../ffi/linux/if.ts";
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
} from "../../ffi/linux/if_addr.ts";
import { RT_SCOPE_HOST, RT_SCOPE_UNIVERSE } from "../../ffi/linux/rtnetlink.ts";
import type { InterfaceAddress } from "../../ffi/rtnl/address.ts";
import type { Link } from "../../ffi/rtnl/link.ts";
import { addressBits, familyOf } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import { type Nearby, nearbyOf } from "./same_link.ts";
import { devicesBehind, type WayFacts, type WayOut, waysOut } from "./way_out.ts";

/** A device by which packets leave. */
export interface Device {
  readonly ifindex: number;
  readonly name: string;
}

/** The underlay as it is now. */
export interface Underlay extends Device {
  /** This host's address on the interface: the source of what it sends to peers. */
  readonly address: string;
  /** Prefix length of that address. */
  readonly prefixLength: number;
  /** What is on the interface's link, and what inside it is not; the most specific first. */
  readonly nearby: readonly Nearby[];
  /** The address peers are told, another one only behind a one-to-one NAT. */
  readonly publicIp: string;
  /** Bytes; the least of the devices by which packets leave. */
  readonly mtu: number;
  /** By which devices packets leave, where the interface only holds the address: `lo` of a host that speaks BGP. */
  readonly ways?: readonly Device[];
}

/** How the administrator wants it chosen. */
export interface UnderlayChoice {
  readonly family: Family;
  /** Interface name, address, or regular expression over names. */
  readonly iface?: string;
  readonly publicIp?: string;
}

/** The host's tables that the choice is made from. */
export interface UnderlayFacts extends WayFacts {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
}

/** An address that the host had as its underlay's. */
export interface Held {
  readonly address: string;
  /** Name of the interface that had it. */
  readonly name: string;
  readonly prefixLength: number;
}

/** An address and the link that is taken for it. */
interface Place {
  readonly link: Link;
  readonly address: InterfaceAddress;
}

/**
 * Chooses interface and address by flannel's rules: `--iface` by name, address or pattern, else the interface of `--public-ip`,
 * else that of the way out. Where the rules leave a choice, what the host had stays.
 *
 * @param held What the host had, the dearest first.
 * @throws {KnetError} exit code 3 if no interface fits or the one that does has no address, 2 if `--iface` and `--public-ip`
 * contradict each other.
 */
export function chooseUnderlay(
  facts: UnderlayFacts,
  choice: UnderlayChoice,
  ...held: readonly Held[]
): Underlay {
  const { family } = choice;
  const ways = waysOut(facts, family);
  const { link, address } = placeOf(facts, choice, ways, held);
  const own = facts.addresses.filter((a) => a.ifindex === link.index && isUsable(a, family));
  const out = isBare(link) ? devicesOut(facts, ways, family) : borrowers(facts, ways, address);
  const outside = facts.links.filter(({ index }) => out.includes(index));
  return {
    ifindex: link.index,
    name: link.name,
    address: address.address,
    prefixLength: address.prefixLength,
    nearby: nearbyOf(link.index, own, facts.routes),
    publicIp: choice.publicIp ?? address.address,
    mtu: outside.length > 0 ? Math.min(...outside.map(({ mtu }) => mtu)) : mtuOf(link),
    ...(outside.length > 0 &&
      { ways: outside.map(({ index, name }) => ({ ifindex: index, name })) }),
  };
}

/** Whether no packet for others leaves by this device: it only holds addresses. */
export function isBare({ flags, kind }: Link): boolean {
  return (flags & IFF_LOOPBACK) !== 0 || kind === "dummy" || kind === "vrf";
}

/**
 * Names of the interfaces by which the other hosts are reached; none where the underlay only holds the address and no way is known:
 * nothing comes by the `lo` of a host that speaks BGP.
 */
export function waysOf({ name, ways }: Pick<Underlay, "name" | "ways">): string[] {
  return ways === undefined ? (name === "lo" ? [] : [name]) : ways.map((way) => way.name);
}

/** What is left to say of a device that only holds addresses on a host without a known way: lo has 65536. */
const ETHERNET_MTU = 1500;

function mtuOf(link: Link): number {
  return isBare(link) ? Math.min(link.mtu, ETHERNET_MTU) : link.mtu;
}

/** Whether an address can be an underlay's. */
function isUsable(address: InterfaceAddress, family: Family): boolean {
  return address.family === family && address.scope === RT_SCOPE_UNIVERSE;
}

/** The devices of a way without addresses of its own, which sends from this one: a point-to-point link, a router of the other family. */
function borrowers(
  { addresses }: UnderlayFacts,
  ways: readonly WayOut[],
  { family, address }: InterfaceAddress,
): readonly number[] {
  const way = ways.find(({ devices, source }) =>
    source === address &&
    !addresses.some((a) => isUsable(a, family) && devices.includes(a.ifindex))
  );
  return way?.devices ?? [];
}

/** By which devices packets leave that are sent from an address of a device that only holds it. */
function devicesOut(facts: UnderlayFacts, ways: readonly WayOut[], family: Family): number[] {
  const real = (devices: readonly number[]) =>
    facts.links.filter((link) => devices.includes(link.index) && !isBare(link)).map((l) => l.index);
  for (const { devices } of ways) {
    const found = real(devices);
    if (found.length > 0) return found;
  }
  // A host that knows its peers by BGP, and has no default route.
  return real(devicesBehind(facts, family));
}

function placeOf(
  facts: UnderlayFacts,
  choice: UnderlayChoice,
  ways: readonly WayOut[],
  held: readonly Held[],
): Place {
  const { family, iface, publicIp } = choice;
  const ofFamily = facts.addresses.filter((a) => a.family === family && a.scope < RT_SCOPE_HOST);
  const usable = ofFamily.filter((a) => isUsable(a, family))
    .sort((a, b) => rankOf(a, ways) - rankOf(b, ways));
  const linkOf = (index: number) => facts.links.find((link) => link.index === index);
  const at = (link: Link | undefined, address: InterfaceAddress | undefined) =>
    link && address && { link, address };

  const named = iface === undefined ? undefined : fitting(facts.links, ofFamily, iface);
  const spoken = ofFamily.find((a) => a.address === publicIp);
  if (spoken !== undefined) {
    const owner = linkOf(spoken.ifindex)!;
    if (named === undefined || (named.links.includes(owner) && named.address === undefined)) {
      return { link: owner, address: spoken };
    }
    if (named.address?.address === publicIp) return { link: owner, address: spoken };
    // An address that any interface may send from: it is on none of them.
    const [way] = named.links;
    if (isBare(owner) && named.address === undefined && way !== undefined) {
      return { link: way, address: spoken };
    }
    throw new KnetError(
      `Cannot use --iface "${iface}" with --public-ip ${publicIp}: that is this host's own address, on ${owner.name}, and peers take nothing from another one`,
      { exitCode: 2, remedy: "Leave out one of the two" },
    );
  }
  if (named?.address !== undefined) {
    return { link: linkOf(named.address.ifindex)!, address: named.address };
  }
  const fits = (link: Link | undefined) =>
    link !== undefined && (named?.links.includes(link) ?? true);
  const best = (link: Link | undefined) => at(link, usable.find((a) => a.ifindex === link?.index));

  for (const one of held) {
    const present = usable.find((a) => a.address === one.address);
    const link = present && linkOf(present.ifindex);
    if (present && resembles(present, one) && link?.up && fits(link)) {
      return { link, address: present };
    }
    if (one !== held[0]) continue;
    // The interface that the host belongs to has another address, and is the way out again.
    const way = ways[0]?.devices.map(linkOf).find((l) => l?.name === one.name);
    const renewed = best(way);
    if (renewed && resembles(renewed.address, one) && fits(way)) return renewed;
  }
  if (named !== undefined) {
    const found = named.links.map(best).find((place) => place !== undefined);
    if (found !== undefined) return found;
    throw withoutAddress(named.links[0]!, family);
  }
  let first: Link | undefined;
  for (const { devices, source } of ways) {
    for (const link of devices.map(linkOf)) {
      const found = best(link);
      if (found !== undefined) return found;
      first ??= link;
    }
    const lent = usable.find((a) => a.address === source);
    const found = at(lent && linkOf(lent.ifindex), lent);
    if (found !== undefined) return found;
  }
  if (first !== undefined) throw withoutAddress(first, family);
  throw new KnetError("Cannot find the underlay interface: the host has no default route", {
    exitCode: 3,
    remedy: "Name the interface that reaches the other hosts with --iface",
  });
}

/** Whether an address may stand for what the host had: keepalived's /32 is not what it had with /24. */
export function resembles(
  { address, prefixLength }: Pick<InterfaceAddress, "address" | "prefixLength">,
  held: Held,
): boolean {
  const whole = addressBits(familyOf(address));
  return prefixLength < whole || held.prefixLength === whole;
}

/** Addresses that hosts are known by come before those that come and go. */
function rankOf(one: InterfaceAddress, ways: readonly WayOut[]): number {
  const { family, address, flags, prefixLength } = one;
  const lone = prefixLength === addressBits(family) && !ways.some((w) => w.source === address);
  return ((flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) !== 0 ? 8 : 0) +
    ((flags & IFA_F_DEPRECATED) !== 0 ? 4 : 0) +
    (lone ? 2 : 0) +
    ((flags & IFA_F_SECONDARY) !== 0 ? 1 : 0);
}

function withoutAddress({ name }: Link, family: Family): KnetError {
  return new KnetError(
    `Cannot use interface "${name}" as underlay: it has no global IPv${family} address`,
    { exitCode: 3, remedy: "Give the interface an address, or choose another one with --iface" },
  );
}

/** What `--iface` names: the interfaces that fit, at least one, and the address if it is one. */
function fitting(
  links: readonly Link[],
  addresses: readonly InterfaceAddress[],
  iface: string,
): { readonly links: readonly Link[]; readonly address?: InterfaceAddress } {
  const link = links.find((l) => l.name === iface);
  if (link !== undefined) return { links: [link] };
  const address = addresses.find((a) => a.address === iface);
  const owner = links.find((l) => l.index === address?.ifindex);
  if (address !== undefined && owner !== undefined) return { links: [owner], address };
  const some = byPattern(links, iface);
  if (some.length > 0) return { links: some };
  throw new KnetError(
    `Cannot find the underlay interface "${iface}": no interface has this name or address`,
    {
      exitCode: 3,
      remedy: `Choose one of ${
        links.filter((l) => l.name !== "lo").map((l) => l.name).join(", ") || "none"
      }`,
    },
  );
}

function byPattern(links: readonly Link[], pattern: string): readonly Link[] {
  let expression: RegExp;
  try {
    expression = new RegExp(`^(?:${pattern})$`);
  } catch {
    return [];
  }
  return links.filter((link) => expression.test(link.name));
}
