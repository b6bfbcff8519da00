/**
 * Keeps the virtual IPs of this host: which there should be, and whether they are there.
 *
 * @module
 */
import { messageOf } from "../../base/error.ts";
import type { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { type InterfaceAddress, listAddresses } from "../../../ffi/rtnl/address.ts";
import { getLink } from "../../../ffi/rtnl/link.ts";
import { openRtnl, RTM, RTNLGRP } from "../../../ffi/rtnl/rtnl.ts";
import { removeDevice } from "../devices.ts";
import { deriveMac } from "../../base/mac.ts";
import {
  addVips,
  ensureVipDevice,
  planVips,
  readVips,
  removeVips,
  VIP_DEVICE,
  type VipsActual,
  vipsAreRight,
  type VipsDesired,
  type VipsPlan,
} from "./vips.ts";

const RT_TABLE_LOCAL = 255; // linux/rtnetlink.h
/** Looks after which everything is read, whatever the kernel said. */
const LOOKS = 30;
const EVENT_TYPES: ReadonlySet<number> = new Set([
  RTM.NEWLINK,
  RTM.DELLINK,
  RTM.NEWADDR,
  RTM.DELADDR,
]);

function openEvents(): NetlinkSocket {
  // What does not fit leads to a reading, which costs no more than a full buffer.
  const socket = openRtnl({ receiveBuffer: 1 << 20 });
  const { LINK, IPV4_IFADDR, IPV6_IFADDR, IPV4_ROUTE } = RTNLGRP;
  for (const group of [LINK, IPV4_IFADDR, IPV6_IFADDR, IPV4_ROUTE]) socket.joinGroup(group);
  return socket;
}

/** Virtual IPs of the network namespace that the socket is of and the thread is in. */
export class VipKeeper implements Disposable {
  readonly #rtnl: NetlinkSocket;
  /** Opened with the first virtual IP: nobody would read it before. */
  #events: NetlinkSocket | undefined;
  #desired: VipsDesired | undefined;
  /** Whether all was as it should be when it was last read, and nothing happened since. */
  #right = false;
  /** What is there, while nothing happened since it was read or made: thousands of addresses are not dumped for one more. */
  #actual: VipsActual | undefined;
  /** Addresses of other devices, while nothing happened to any. */
  #others: InterfaceAddress[] | undefined;
  #looks = 0;
  /** Virtual IPs that the kernel does not take; tried again with the next change. */
  #refused: ReadonlyMap<string, NetlinkError> = new Map();

  constructor(rtnl: NetlinkSocket) {
    this.#rtnl = rtnl;
  }

  [Symbol.dispose](): void {
    this.#events?.[Symbol.dispose]();
    this.#events = undefined;
    this.#forget();
  }

  /** Addresses of this host that are no virtual IPs. */
  otherAddresses(): InterfaceAddress[] {
    this.#noteEvents();
    if (this.#others !== undefined) return this.#others;
    const index = getLink(this.#rtnl, VIP_DEVICE)?.index;
    const others = listAddresses(this.#rtnl).filter(({ ifindex }) => ifindex !== index);
    // Without events nobody would say that it is no longer so.
    if (this.#events !== undefined) this.#others = others;
    return others;
  }

  /** Addresses that are bound. */
  bound(): Set<string> {
    return new Set(readVips(this.#rtnl, VIP_DEVICE).addresses.map(({ address }) => address));
  }

  /** Virtual IPs that the kernel did not take when they were last tried, with its reasons. */
  get refused(): ReadonlyMap<string, NetlinkError> {
    return this.#refused;
  }

  /**
   * Whether exactly these are bound, and nothing happened that could have changed it.
   *
   * @param mtus see {@linkcode VipsDesired}; all virtual IPs have one.
   * @param source source of what this host sends to virtual IPs itself.
   */
  holds(mtus: ReadonlyMap<string, number>, source: string | undefined): boolean {
    this.#noteEvents();
    const own = this.#desired;
    return this.#right && this.#refused.size === 0 && own?.vips.size === mtus.size &&
      own.source === source && [...mtus].every(([vip, mtu]) => own.mtus?.get(vip) === mtu);
  }

  /**
   * Takes away what should not be there.
   *
   * @param mtus virtual IPs, and the MTU of each, see {@linkcode VipsDesired}.
   * @param source source of what this host sends to virtual IPs itself; undefined leaves that to the kernel.
   * @returns virtual IPs that this host had.
   * @throws {NetlinkError}
   */
  release(nodeId: string, mtus: ReadonlyMap<string, number>, source: string | undefined): string[] {
    this.#right = false;
    const mac = deriveMac("services", nodeId);
    this.#desired = { device: VIP_DEVICE, mac, vips: new Set(mtus.keys()), source, mtus };
    this.#noteEvents();
    const actual = this.#actual ?? this.#read();
    this.#actual = undefined;
    if (actual.index === undefined) return [];
    const plan = planVips(this.#desired, actual);
    removeVips(this.#rtnl, actual.index, plan);
    if (this.#events !== undefined) this.#actual = without(actual, plan);
    return plan.removeAddresses.map(({ address }) => address).filter((one) => !mtus.has(one));
  }

  /**
   * Adds what is missing of the virtual IPs that {@linkcode release} was given; the device is there only while there are any.
   *
   * @returns what was done, in words.
   * @throws {NetlinkError}
   */
  bind(): string[] {
    const desired = this.#desired;
    if (desired === undefined || desired.vips.size === 0) return this.remove();
    this.#events ??= openEvents();
    const { index, changes } = ensureVipDevice(this.#rtnl, desired);
    this.#noteEvents();
    const known = changes.length === 0 && this.#actual?.index === index ? this.#actual : undefined;
    const actual = known ?? this.#read();
    this.#actual = undefined;
    const plan = planVips(desired, actual);
    const added = addVips(this.#rtnl, index, plan, desired);
    this.#refused = added.refused;
    this.#actual = {
      ...{ index, up: true },
      addresses: [...actual.addresses, ...added.addresses],
      routes: [...actual.routes, ...added.routes],
    };
    this.#right = true;
    const count = added.addresses.length;
    return count === 0 ? changes : [...changes, `added ${count} virtual IPs to ${VIP_DEVICE}`];
  }

  /** Whether the kernel told of nothing that could have changed them. */
  get undisturbed(): boolean {
    this.#noteEvents();
    return this.#right || this.#desired === undefined || this.#desired.vips.size === 0;
  }

  /** Whether all is as it should be. Reads it only if the kernel said that something changed, or after many looks. */
  isRight(): boolean {
    if (this.#desired === undefined || this.#desired.vips.size === 0) return true;
    this.#noteEvents();
    if (this.#right && ++this.#looks < LOOKS) return true;
    this.#looks = 0;
    const actual = this.#read();
    this.#right = vipsAreRight(this.#desired, actual, this.#refused);
    this.#actual = this.#right ? actual : undefined;
    return this.#right;
  }

  #read(): VipsActual {
    return readVips(this.#rtnl, VIP_DEVICE);
  }

  /** Takes note of changes that somebody else made: of links, addresses, and routes to this host itself. */
  #noteEvents(): void {
    try {
      if (this.#events === undefined) return;
      const { overrun } = this.#events.receive(({ type, pid, data, view, offset }) => {
        const address = type === RTM.NEWADDR || type === RTM.DELADDR;
        if (address && view.getUint32(offset + 4, true) !== this.#actual?.index) {
          this.#others = undefined;
        }
        if (pid === this.#rtnl.portId) return;
        // Those that the kernel makes and deletes itself come with an address or a link, which has an event of its own.
        const route = pid !== 0 && (type === RTM.DELROUTE || type === RTM.NEWROUTE) &&
          data[offset + 4] === RT_TABLE_LOCAL;
        if (route || EVENT_TYPES.has(type)) this.#doubt();
      });
      if (overrun) this.#forget();
    } catch (error) {
      this.#forget();
      throw new Error(`Cannot follow virtual IPs: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Something happened to virtual IPs, or may have. */
  #doubt(): void {
    this.#right = false;
    this.#actual = undefined;
  }

  #forget(): void {
    this.#doubt();
    this.#others = undefined;
  }

  /** Removes the device and all virtual IPs with it. */
  remove(): string[] {
    this.#doubt();
    this.#refused = new Map();
    return removeDevice(this.#rtnl, VIP_DEVICE) ? [`removed ${VIP_DEVICE}`] : [];
  }
}

/** What is left after removals. */
function without(actual: VipsActual, plan: VipsPlan): VipsActual {
  const addresses = new Set(plan.removeAddresses);
  const routes = new Set(plan.removeRoutes);
  return {
    ...actual,
    addresses: actual.addresses.filter((one) => !addresses.has(one)),
    routes: actual.routes.filter((one) => !routes.has(one)),
  };
}
