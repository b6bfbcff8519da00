/**
 * Addresses of knet's devices, and the routes to their networks.
 *
 * @module
 */
import {
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTPROT_KERNEL,
} from "../../ffi/linux/rtnetlink.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import {
  addAddress,
  deleteAddress,
  type InterfaceAddress,
  listAddresses,
} from "../../ffi/rtnl/address.ts";
import { addRoute, listRoutes } from "../../ffi/rtnl/route.ts";
import { familyOf, networkOf, prefixContains } from "../base/address.ts";

/** The addresses that a device should have. */
export interface AddressedSpec {
  readonly name: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
  /** Addresses in this network that are not in `addresses` are removed; absent: all others are, the device being ours alone. */
  readonly ownNetwork?: string;
}

/** Whether an address is as knet adds it: for good, and known everywhere. */
function isPlain({ scope, permanent }: InterfaceAddress): boolean {
  return permanent && scope === RT_SCOPE_UNIVERSE;
}

/** Addresses of a device that have to be added and removed; one that is not as knet adds it is in both. */
export function planAddresses(
  spec: AddressedSpec,
  index: number,
  addresses: readonly InterfaceAddress[],
): { add: string[]; remove: InterfaceAddress[] } {
  const own = addresses.filter((address) => address.ifindex === index);
  const right = own.filter(isPlain);
  const text = (address: InterfaceAddress) => `${address.address}/${address.prefixLength}`;
  const wanted = new Set(spec.addresses);
  return {
    add: spec.addresses.filter((address) => !right.some((present) => text(present) === address)),
    remove: own.filter((address) =>
      (!wanted.has(text(address)) || !isPlain(address)) &&
      (spec.ownNetwork === undefined ||
        (familyOf(address.address) === familyOf(spec.ownNetwork) &&
          prefixContains(spec.ownNetwork, address.address)))
    ),
  };
}

/**
 * Makes a device that is up have its addresses.
 *
 * @returns what was done, in words.
 * @throws {NetlinkError} if the kernel refuses.
 */
export function setAddresses(rtnl: NetlinkSocket, spec: AddressedSpec, index: number): string[] {
  const changes: string[] = [];
  const { add, remove } = planAddresses(spec, index, listAddresses(rtnl, { ifindex: index }));
  for (const { family, address, prefixLength } of remove) {
    deleteAddress(rtnl, { family, ifindex: index, address, prefixLength });
    changes.push(`removed ${address}/${prefixLength} from ${spec.name}`);
  }
  for (const prefix of add) {
    const [address, length] = prefix.split("/") as [string, string];
    addAddress(rtnl, {
      family: familyOf(address),
      ifindex: index,
      address,
      prefixLength: Number(length),
    });
    changes.push(`added ${prefix} to ${spec.name}`);
  }
  return [...changes, ...keepConnected(rtnl, spec, index)];
}

/** Adds the routes to the networks of a device's addresses that the kernel made with them and somebody deleted. */
function keepConnected(rtnl: NetlinkSocket, spec: AddressedSpec, ifindex: number): string[] {
  const changes: string[] = [];
  for (const prefix of spec.addresses) {
    const [address, length] = prefix.split("/") as [string, string];
    const family = familyOf(address);
    if (family === 6 || length === "32") continue;
    const dst = networkOf(address, Number(length));
    const there = listRoutes(rtnl, { family, ifindex, table: RT_TABLE_MAIN });
    if (there.some((route) => route.dst === dst)) continue;
    addRoute(rtnl, {
      ...{ family, dst, ifindex, prefSrc: address, protocol: RTPROT_KERNEL },
      ...{ scope: RT_SCOPE_LINK, table: RT_TABLE_MAIN, type: RTN_UNICAST },
    });
    changes.push(`added the route to ${dst} to ${spec.name}`);
  }
  return changes;
}
