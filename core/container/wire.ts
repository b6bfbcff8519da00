/**
 * A container's wire: the veth pair between its namespace and the bridge, addresses and routes at the
 * far end.
 *
 * @module
 */
import { IN6_ADDR_GEN_MODE_NONE } from "../../ffi/linux/if_link.ts";
import {
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTPROT_BOOT,
} from "../../ffi/linux/rtnetlink.ts";
import { withNetns } from "../../ffi/netns.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { addAddress, deleteAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import {
  addLink,
  changeLink,
  deleteLink,
  getLink,
  type Link,
  listLinks,
} from "../../ffi/rtnl/link.ts";
import { addRoute, deleteRoute, listRoutes, type Route } from "../../ffi/rtnl/route.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { familyOf, prefixContains } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import type { NodeState } from "../cluster/node_state.ts";
import { ipv6Off, type Parameter, setParameters } from "../kernel/device_parameters.ts";
import type { ContainerRecord } from "./record.ts";
import { shape } from "./shaping.ts";
import { hostMac, macOf, shaperIfname } from "./wire_names.ts";

export { hostIfname, macOf } from "./wire_names.ts";

/**
 * The bridge as the kernel has it.
 *
 * @throws {KnetError} if it is not there.
 */
export function bridgeOf(rtnl: NetlinkSocket, name: string): Link {
  return needBridge(getLink(rtnl, name), name);
}

/** All links of the host by name, with one dump. */
export function linksByName(rtnl: NetlinkSocket): ReadonlyMap<string, Link> {
  return new Map(listLinks(rtnl).map((link) => [link.name, link]));
}

/**
 * A link as the bridge that containers hang on.
 *
 * @throws {KnetError} if it is none.
 */
export function needBridge(bridge: Link | undefined, name: string): Link {
  if (bridge?.kind === "bridge") return bridge;
  const state = bridge === undefined ? "does not exist" : "is no bridge";
  throw new KnetError(`Cannot attach containers to "${name}": it ${state}`, {
    remedy: "Start the agent, which makes it: knet join",
  });
}

/** What a wire leads to. */
export interface WireEnds {
  /** Socket of the host's namespace. */
  readonly rtnl: NetlinkSocket;
  /** Descriptor of the container's namespace. */
  readonly netnsFd: number;
  readonly bridge: Link;
  readonly state: NodeState;
}

/**
 * Makes the wire of a record, in place of what may be left of an earlier one. A failure leaves nothing
 * behind.
 *
 * @throws {KnetError} if the namespace has another interface of that name.
 * @throws {NetlinkError} if the kernel refuses.
 */
export function makeWire(ends: WireEnds, record: ContainerRecord): void {
  const { rtnl, netnsFd, bridge, state } = ends;
  removeHostEnd(rtnl, record.hostIfname);
  withNetns(netnsFd, () => {
    using inside = openRtnl();
    if (getLink(inside, record.ifname) === undefined) return;
    throw new KnetError(
      `Cannot make interface "${record.ifname}" in "${record.netns}": the namespace has one of that name`,
      { exitCode: 2, remedy: "Choose another name with --ifname" },
    );
  });
  addLink(rtnl, {
    name: record.hostIfname,
    kind: "veth",
    // Given at creation: systemd's default policy would rewrite one that the kernel made up.
    mac: hostMac(record.hostIfname),
    mtu: state.mtu,
    peer: {
      name: record.ifname,
      mac: macOf(record),
      mtu: state.mtu,
      netns: netnsFd,
    },
  });
  let loWasDown = false;
  try {
    const host = getLink(rtnl, record.hostIfname);
    if (host === undefined) {
      throw new KnetError(`Cannot use interface "${record.hostIfname}": it vanished`);
    }
    // A port needs no IPv6 address, and one would be announced. Without a mode it has no part in IPv6: small MTU, or no IPv6 at all.
    if (host.addrGenMode !== undefined) {
      changeLink(rtnl, host.index, { addrGenMode: IN6_ADDR_GEN_MODE_NONE });
    }
    setParameters(portParameters(record));
    changeLink(rtnl, host.index, { master: bridge.index, up: true });
    // A container may be its own real server: what comes back to it leaves by the port that it came in by.
    changeLink(rtnl, host.index, { hairpin: true });
    shape(rtnl, record, state.mtu);
    loWasDown = withNetns(netnsFd, () => equip(record, state));
  } catch (error) {
    removeHostEnd(rtnl, record.hostIfname);
    if (loWasDown) withNetns(netnsFd, () => setLoopback(false));
    throw error;
  }
}

/** Kernel parameters of a wire's end on the host. */
export function portParameters({ address, hostIfname }: ContainerRecord): Parameter[] {
  return familyOf(address) === 4 ? ipv6Off(hostIfname) : [];
}

/** Sets the kernel parameters of both ends of a wire that is there. */
export function setWireParameters(netnsFd: number, record: ContainerRecord): void {
  setParameters(portParameters(record));
  withNetns(netnsFd, () => setParameters(farParameters(record)));
}

/** Kernel parameters of a wire's end in the container. */
function farParameters({ address, ifname }: ContainerRecord): Parameter[] {
  return familyOf(address) === 4
    // Another container's router advertisements would give it a default route.
    ? ipv6Off(ifname)
    // Duplicate address detection would keep the address unusable for the first seconds.
    : [{ name: ["net", "ipv6", "conf", ifname, "accept_dad"], value: "0" }];
}

/** Deletes the host's end, and with it the other one, and what its packets waited in; one that is gone is no error. */
export function removeHostEnd(rtnl: NetlinkSocket, name: string): boolean {
  removeLink(rtnl, shaperIfname(name));
  return removeLink(rtnl, name);
}

function removeLink(rtnl: NetlinkSocket, name: string): boolean {
  const link = getLink(rtnl, name);
  if (link === undefined) return false;
  try {
    deleteLink(rtnl, link.index);
  } catch (error) {
    // The other end's namespace died at this moment.
    if (error instanceof NetlinkError && error.code === "ENODEV") return false;
    throw error;
  }
  return true;
}

/** Inside the namespace: address, loopback, up, routes. Returns whether lo was down before. */
function equip(record: ContainerRecord, state: NodeState): boolean {
  using inside = openRtnl();
  const family = familyOf(record.address);
  const link = getLink(inside, record.ifname);
  if (link === undefined) {
    throw new KnetError(`Cannot use interface "${record.ifname}": it vanished`);
  }
  // Before it is up. Where /proc/sys cannot be written the container has its address all the same.
  setParameters(farParameters(record));
  const loWasDown = setLoopback(true, inside);
  try {
    addAddress(inside, {
      family,
      ifindex: link.index,
      address: record.address,
      prefixLength: record.prefixLength,
    });
    changeLink(inside, link.index, { up: true });
    for (const route of wantedRoutes(inside, state, link.index, family)) addRoute(inside, route);
  } catch (error) {
    if (loWasDown) setLoopback(false, inside);
    throw error;
  }
  return loWasDown;
}

/** Sets lo up or down; returns whether that changed anything. */
function setLoopback(up: boolean, socket?: NetlinkSocket): boolean {
  const inside = socket ?? openRtnl();
  try {
    const lo = getLink(inside, "lo");
    if (lo === undefined || lo.up === up) return false;
    changeLink(inside, lo.index, { up });
    return true;
  } finally {
    if (socket === undefined) inside[Symbol.dispose]();
  }
}

/**
 * Routes through the bridge: the default route, or, where the container has one already, the cluster's
 * networks alone.
 */
function wantedRoutes(
  inside: NetlinkSocket,
  state: NodeState,
  ifindex: number,
  family: Family,
): Route[] {
  const present = listRoutes(inside, { family, table: RT_TABLE_MAIN });
  const any = family === 4 ? "0.0.0.0/0" : "::/0";
  const destinations = present.some((route) => route.dst === any)
    ? [state.network, state.serviceNetwork].filter((network) =>
      network && familyOf(network) === family && !present.some((route) => route.dst === network)
    )
    : [any];
  return destinations.map((dst) => ({
    family,
    dst,
    gateway: state.gateway,
    ifindex,
    protocol: RTPROT_BOOT,
    scope: RT_SCOPE_UNIVERSE,
    table: RT_TABLE_MAIN,
    type: RTN_UNICAST,
    onlink: false,
    flags: 0,
  }));
}

/** Whether the far end of a wire is there, up and has its address. */
export function farEndIntact(netnsFd: number, record: ContainerRecord): boolean {
  return withNetns(netnsFd, () => {
    using inside = openRtnl();
    const link = getLink(inside, record.ifname);
    return link?.kind === "veth" && link.up &&
      listAddresses(inside, { ifindex: link.index }).some((address) =>
        address.address === record.address && address.prefixLength === record.prefixLength
      );
  });
}

/** Sets the MTU of the far end; an interface that is gone is no error. */
export function setFarMtu(netnsFd: number, ifname: string, mtu: number): void {
  withNetns(netnsFd, () => {
    using inside = openRtnl();
    const link = getLink(inside, ifname);
    if (link !== undefined && link.mtu !== mtu) changeLink(inside, link.index, { mtu });
  });
}

/**
 * Gives the far end another address, of another subnet, and leads its routes through the new gateway.
 * The interface stays, and with it what is bound to it.
 *
 * @returns false if the interface is gone.
 */
export function readdress(
  netnsFd: number,
  from: ContainerRecord,
  to: ContainerRecord,
  oldSubnet: string,
  state: NodeState,
): boolean {
  return withNetns(netnsFd, () => {
    using inside = openRtnl();
    const link = getLink(inside, from.ifname);
    if (link === undefined) return false;
    const family = familyOf(to.address);
    const stale = listRoutes(inside, { family, ifindex: link.index, table: RT_TABLE_MAIN })
      .filter(({ gateway }) => gateway !== undefined && prefixContains(oldSubnet, gateway));
    if (link.mtu !== state.mtu) changeLink(inside, link.index, { mtu: state.mtu });
    for (const route of stale) deleteRoute(inside, route);
    const own = listAddresses(inside, { family, ifindex: link.index });
    for (const { address, prefixLength } of own) {
      if (address !== from.address) continue;
      deleteAddress(inside, { family, ifindex: link.index, address, prefixLength });
    }
    if (!own.some(({ address }) => address === to.address)) {
      const { address, prefixLength } = to;
      addAddress(inside, { family, ifindex: link.index, address, prefixLength });
    }
    for (const route of stale) {
      const { prefSrc: _, ...rest } = route;
      addRoute(inside, { ...rest, gateway: state.gateway });
    }
    for (const route of wantedRoutes(inside, state, link.index, family)) addRoute(inside, route);
    return true;
  });
}
