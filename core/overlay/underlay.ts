/**
 * The underlay: the interface and address by which the other hosts reach this one.
 *
 * @module
 */
import { IFA_F_SECONDARY } from "../../ffi/linux/if_addr.ts";
import { RT_SCOPE_UNIVERSE, RT_TABLE_MAIN } from "../../ffi/linux/rtnetlink.ts";
import type { InterfaceAddress } from "../../ffi/rtnl/address.ts";
import type { Link } from "../../ffi/rtnl/link.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import { KnetError } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import { type Nearby, nearbyOf } from "./same_link.ts";

/** The underlay as it is now. */
export interface Underlay {
  readonly ifindex: number;
  readonly name: string;
  /** This host's address on the interface: the source of what it sends to peers. */
  readonly address: string;
  /** Prefix length of that address. */
  readonly prefixLength: number;
  /** What is on the interface's link, and what inside it is not; the most specific first. */
  readonly nearby: readonly Nearby[];
  /** The address peers are told, another one only behind a one-to-one NAT. */
  readonly publicIp: string;
  /** Bytes. */
  readonly mtu: number;
}

/** How the administrator wants it chosen. */
export interface UnderlayChoice {
  readonly family: Family;
  /** Interface name, address, or regular expression over names. */
  readonly iface?: string;
  readonly publicIp?: string;
}

/** The host's tables that the choice is made from. */
export interface UnderlayFacts {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Route[];
}

/**
 * Chooses interface and address by flannel's rules: `--iface` by name, address or pattern, else the interface of `--public-ip`,
 * else that of the default route with the lowest metric.
 *
 * @param current Address in use; kept as long as the interface still has it.
 * @throws {KnetError} exit code 3 if no interface fits or the one that does has no address.
 */
export function chooseUnderlay(
  facts: UnderlayFacts,
  choice: UnderlayChoice,
  current?: string,
): Underlay {
  const usable = facts.addresses.filter((a) =>
    a.family === choice.family && a.scope === RT_SCOPE_UNIVERSE
  );
  const link = chooseLink(facts, choice, usable);
  const own = usable.filter((a) => a.ifindex === link.index);
  const address = own.find((a) => a.address === choice.iface) ??
    own.find((a) => a.address === current) ??
    own.find((a) => a.address === choice.publicIp) ??
    own.find((a) => (a.flags & IFA_F_SECONDARY) === 0) ?? own[0];
  if (address === undefined) {
    throw new KnetError(
      `Cannot use interface "${link.name}" as underlay: it has no global IPv${choice.family} address`,
      { exitCode: 3, remedy: "Give the interface an address, or choose another one with --iface" },
    );
  }
  return {
    ifindex: link.index,
    name: link.name,
    address: address.address,
    prefixLength: address.prefixLength,
    nearby: nearbyOf(link.index, own, facts.routes),
    publicIp: choice.publicIp ?? address.address,
    mtu: link.mtu,
  };
}

function chooseLink(
  facts: UnderlayFacts,
  choice: UnderlayChoice,
  usable: readonly InterfaceAddress[],
): Link {
  const byIndex = (index: number | undefined) => facts.links.find((link) => link.index === index);
  const { iface } = choice;
  if (iface !== undefined) {
    const link = facts.links.find((l) => l.name === iface) ??
      byIndex(usable.find((a) => a.address === iface)?.ifindex) ??
      byPattern(facts.links, iface);
    if (link !== undefined) return link;
    throw new KnetError(
      `Cannot find the underlay interface "${iface}": no interface has this name or address`,
      {
        exitCode: 3,
        remedy: `Choose one of ${
          facts.links.filter((l) => l.name !== "lo").map((l) => l.name).join(", ") || "none"
        }`,
      },
    );
  }
  const byAddress = byIndex(usable.find((a) => a.address === choice.publicIp)?.ifindex);
  if (byAddress !== undefined) return byAddress;
  const defaults = facts.routes.filter((route) =>
    route.family === choice.family && route.dst.endsWith("/0") && route.table === RT_TABLE_MAIN &&
    route.ifindex !== undefined
  ).sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  const link = byIndex(defaults[0]?.ifindex);
  if (link === undefined) {
    throw new KnetError("Cannot find the underlay interface: the host has no default route", {
      exitCode: 3,
      remedy: "Name the interface that reaches the other hosts with --iface",
    });
  }
  return link;
}

function byPattern(links: readonly Link[], pattern: string): Link | undefined {
  let expression: RegExp;
  try {
    expression = new RegExp(`^(?:${pattern})$`);
  } catch {
    return undefined;
  }
  return links.find((link) => expression.test(link.name));
}
