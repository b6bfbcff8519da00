/**
 * Keeps the virtual IPs of this host: which there should be, and whether they are there.
 *
 * @module
 */
import { messageOf } from "../error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { type InterfaceAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import { openRtnl, RTM, RTNLGRP } from "../../ffi/rtnl/rtnl.ts";
import { removeDevice } from "../devices.ts";
import { deriveMac } from "../mac.ts";
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
  #looks = 0;

  constructor(rtnl: NetlinkSocket) {
    this.#rtnl = rtnl;
  }

  [Symbol.dispose](): void {
    this.#events?.[Symbol.dispose]();
    this.#events = undefined;
  }

  /** Addresses of this host that are no virtual IPs. */
  otherAddresses(): InterfaceAddress[] {
    const { index } = readVips(this.#rtnl, VIP_DEVICE);
    return listAddresses(this.#rtnl).filter(({ ifindex }) => ifindex !== index);
  }

  /** Addresses that are bound. */
  bound(): Set<string> {
    return new Set(readVips(this.#rtnl, VIP_DEVICE).addresses.map(({ address }) => address));
  }

  /** The source of what this host sends to virtual IPs itself, as last told. */
  get source(): string | undefined {
    return this.#desired?.source;
  }

  /** Whether exactly these are bound, and nothing happened that could have changed it. */
  holds(vips: ReadonlySet<string>): boolean {
    this.#noteEvents();
    const { vips: own } = this.#desired ?? { vips: new Set() };
    return this.#right && own.size === vips.size && [...vips].every((vip) => own.has(vip));
  }

  /**
   * Takes away what should not be there.
   *
   * @param source source of what this host sends to virtual IPs itself; undefined leaves that to the kernel.
   * @throws {NetlinkError}
   */
  release(nodeId: string, vips: ReadonlySet<string>, source: string | undefined): void {
    this.#right = false;
    const mac = deriveMac("services", nodeId);
    this.#desired = { device: VIP_DEVICE, mac, vips, source };
    const actual = readVips(this.#rtnl, VIP_DEVICE);
    if (actual.index === undefined) return;
    removeVips(this.#rtnl, actual.index, planVips(this.#desired, actual));
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
    const plan = planVips(desired, readVips(this.#rtnl, VIP_DEVICE));
    addVips(this.#rtnl, index, plan, desired.source);
    this.#right = true;
    const count = plan.addAddresses.length;
    return count === 0 ? changes : [...changes, `added ${count} virtual IPs to ${VIP_DEVICE}`];
  }

  /** Whether all is as it should be. Reads it only if the kernel said that something changed, or after many looks. */
  isRight(): boolean {
    if (this.#desired === undefined || this.#desired.vips.size === 0) return true;
    this.#noteEvents();
    if (this.#right && ++this.#looks < LOOKS) return true;
    this.#looks = 0;
    return this.#right = vipsAreRight(this.#desired, this.#read());
  }

  #read(): VipsActual {
    return readVips(this.#rtnl, VIP_DEVICE);
  }

  /** Takes note of changes that somebody else made: of links, addresses, and routes to this host itself. */
  #noteEvents(): void {
    try {
      if (this.#events === undefined) return;
      const { overrun } = this.#events.receive(({ type, pid, data, offset }) => {
        if (pid === this.#rtnl.portId) return;
        const route = (type === RTM.DELROUTE || type === RTM.NEWROUTE) &&
          data[offset + 4] === RT_TABLE_LOCAL;
        if (route || EVENT_TYPES.has(type)) this.#right = false;
      });
      if (overrun) this.#right = false;
    } catch (error) {
      this.#right = false;
      throw new Error(`Cannot follow virtual IPs: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Removes the device and all virtual IPs with it. */
  remove(): string[] {
    return removeDevice(this.#rtnl, VIP_DEVICE) ? [`removed ${VIP_DEVICE}`] : [];
  }
}
