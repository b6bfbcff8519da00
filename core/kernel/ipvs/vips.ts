/**
 * Virtual IPs: addresses of a dummy device, so that packets for them reach the hook in which IPVS sits.
 *
 * @module
 */
import { IN6_ADDR_GEN_MODE_NONE } from "../../../ffi/linux/if_link.ts";
import {
  RT_SCOPE_HOST,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RTN_LOCAL,
} from "../../../ffi/linux/rtnetlink.ts";
import { Batch } from "../../../ffi/netlink/batch.ts";
import type { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import {
  type AddressSpec,
  encodeAddress,
  type InterfaceAddress,
  listAddresses,
} from "../../../ffi/rtnl/address.ts";
import { addLink, changeLink, deleteLink, getLink } from "../../../ffi/rtnl/link.ts";
import { encodeRoute, listRoutes, type Route } from "../../../ffi/rtnl/route.ts";
import { familyOf } from "../../base/address.ts";
import { KNET_PROTOCOL } from "../kind.ts";

/** The device that holds the virtual IPs on a host. */
export const VIP_DEVICE = "knet-ipvs0";

/** Virtual IPs as they should be. */
export interface VipsDesired {
  /** Name of the device. */
  readonly device: string;
  readonly mac: string;
  readonly vips: ReadonlySet<string>;
  /**
   * The source of what this host itself sends to a virtual IP (IPv4). Without it the kernel takes the virtual IP, and what comes
   * back for it on another host is that host's own.
   */
  readonly source?: string | undefined;
  /**
   * Largest packets that this host itself sends to a virtual IP, in bytes. Without it that of `lo` counts, where the address is; the
   * real server is elsewhere, and each size that does not get there costs a time-out.
   */
  readonly mtus?: ReadonlyMap<string, number>;
}

/** What is there. */
export interface VipsActual {
  /** Index of the device, undefined if there is none of the right kind. */
  readonly index: number | undefined;
  /** Whether it is up. */
  readonly up: boolean;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Route[];
}

/** Reads what is there. */
export function readVips(rtnl: NetlinkSocket, device: string): VipsActual {
  const link = getLink(rtnl, device);
  if (link?.kind !== "dummy") {
    return { index: undefined, up: false, addresses: [], routes: [] };
  }
  const { index, up } = link;
  return {
    index,
    up,
    addresses: listAddresses(rtnl, { ifindex: index }),
    routes: listRoutes(rtnl, { family: 4, table: RT_TABLE_LOCAL, protocol: KNET_PROTOCOL })
      .filter((route) => route.ifindex === index),
  };
}

/** What has to be added and removed. */
export interface VipsPlan {
  readonly addAddresses: readonly string[];
  readonly removeAddresses: readonly InterfaceAddress[];
  readonly addRoutes: readonly string[];
  readonly removeRoutes: readonly Route[];
}

/** Compares. */
export function planVips(desired: VipsDesired, actual: VipsActual): VipsPlan {
  const { vips, source, mtus } = desired;
  const whole = (a: InterfaceAddress) => a.prefixLength === (a.family === 4 ? 32 : 128);
  const present = new Set(actual.addresses.filter(whole).map((a) => a.address));
  const right = (route: Route) => {
    const vip = route.dst.replace("/32", "");
    return vips.has(vip) && route.prefSrc === source && route.mtu === mtus?.get(vip);
  };
  const routed = new Set(actual.routes.filter(right).map((route) => route.dst.replace("/32", "")));
  return {
    addAddresses: [...vips].filter((vip) => !present.has(vip)),
    removeAddresses: actual.addresses.filter((a) => !whole(a) || !vips.has(a.address)),
    addRoutes: source === undefined
      ? []
      : [...vips].filter((vip) => familyOf(vip) === 4 && !routed.has(vip)),
    removeRoutes: actual.routes.filter((route) => !right(route)),
  };
}

/**
 * Whether all is as it should be.
 *
 * @param refused virtual IPs that cannot be had.
 */
export function vipsAreRight(
  desired: VipsDesired,
  actual: VipsActual,
  refused: Pick<ReadonlyMap<string, unknown>, "has"> = new Map(),
): boolean {
  const plan = planVips(desired, actual);
  return actual.up && plan.removeAddresses.length === 0 && plan.removeRoutes.length === 0 &&
    [...plan.addAddresses, ...plan.addRoutes].every((vip) => refused.has(vip));
}

/**
 * Makes the device if it is missing, or of another kind, and brings it up.
 *
 * @returns its index and what was done, in words.
 * @throws {NetlinkError}
 */
export function ensureVipDevice(
  rtnl: NetlinkSocket,
  { device, mac }: Pick<VipsDesired, "device" | "mac">,
): { index: number; changes: string[] } {
  let link = getLink(rtnl, device);
  const changes: string[] = [];
  if (link !== undefined && link.kind !== "dummy") {
    deleteLink(rtnl, link.index);
    changes.push(`replaced ${device}: it was no dummy device`);
    link = undefined;
  }
  if (link === undefined) {
    // A dummy device answers no ARP: the kernel makes it with NOARP.
    addLink(rtnl, {
      name: device,
      kind: "dummy",
      mac,
      addrGenMode: IN6_ADDR_GEN_MODE_NONE,
      up: true,
    });
    link = getLink(rtnl, device)!;
    changes.push(`created ${device}`);
  } else if (!link.up) {
    changeLink(rtnl, link.index, { up: true });
    changes.push(`set ${device} up`);
  }
  return { index: link.index, changes };
}

/** The messages that remove virtual IPs. */
export function removeVips(rtnl: NetlinkSocket, index: number, plan: VipsPlan): void {
  const batch = new Batch();
  for (const route of plan.removeRoutes) encodeRoute(batch, "delete", route);
  for (const { family, address, prefixLength } of plan.removeAddresses) {
    encodeAddress(batch, "delete", { family, ifindex: index, address, prefixLength });
  }
  if (batch.count === 0) return;
  const failure = rtnl.send(batch).find(({ error }) => !error.isGone);
  if (failure !== undefined) throw failure.error;
}

/** What came of adding virtual IPs. */
export interface VipsAdded extends Pick<VipsActual, "addresses" | "routes"> {
  /** Virtual IPs that the kernel does not take, with its reasons: those of IPv6 where that is switched off. */
  readonly refused: ReadonlyMap<string, NetlinkError>;
}

/**
 * The messages that add virtual IPs.
 *
 * @returns what is there now that was not, and what is not.
 */
export function addVips(
  rtnl: NetlinkSocket,
  index: number,
  plan: VipsPlan,
  { source, mtus }: Pick<VipsDesired, "source" | "mtus"> = {},
): VipsAdded {
  const batch = new Batch();
  const addresses = plan.addAddresses.map((address): InterfaceAddress => {
    const spec: AddressSpec = { ifindex: index, address, prefixLength: whole(address) };
    encodeAddress(batch, "add", spec);
    return {
      ...spec,
      family: familyOf(address),
      scope: RT_SCOPE_UNIVERSE,
      flags: 0,
      permanent: true,
    };
  });
  const routes = plan.addRoutes.map((vip): Route => ({
    family: 4,
    dst: `${vip}/32`,
    ifindex: index,
    ...(source === undefined ? {} : { prefSrc: source }),
    ...(mtus?.has(vip) && { metrics: true, mtu: mtus.get(vip)! }),
    protocol: KNET_PROTOCOL,
    table: RT_TABLE_LOCAL,
    scope: RT_SCOPE_HOST,
    type: RTN_LOCAL,
    onlink: false,
    flags: 0,
  }));
  for (const route of routes) encodeRoute(batch, "prepend", route);
  const refused = new Map<string, NetlinkError>();
  for (const { index, error } of batch.count === 0 ? [] : rtnl.send(batch)) {
    if (error.code === "EEXIST") continue;
    const vip = plan.addAddresses[index] ?? plan.addRoutes[index - plan.addAddresses.length]!;
    if (!refused.has(vip)) refused.set(vip, error);
  }
  if (refused.size === 0) return { addresses, routes, refused };
  return {
    addresses: addresses.filter(({ address }) => !refused.has(address)),
    routes: routes.filter(({ dst }) => !refused.has(dst.replace("/32", ""))),
    refused,
  };
}

function whole(address: string): number {
  return familyOf(address) === 4 ? 32 : 128;
}
