/**
 * Keeps the virtual IPs of this host: which there should be, and whether they are there.
 *
 * @module
 */
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { type InterfaceAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import { removeDevice } from "../devices.ts";
import { deriveMac } from "../mac.ts";
import {
  addVips,
  ensureVipDevice,
  planVips,
  readVips,
  removeVips,
  VIP_DEVICE,
  vipsAreRight,
  type VipsDesired,
} from "./vips.ts";

/** Virtual IPs of the network namespace that the socket is of. */
export class VipKeeper {
  readonly #rtnl: NetlinkSocket;
  #desired: VipsDesired | undefined;

  constructor(rtnl: NetlinkSocket) {
    this.#rtnl = rtnl;
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

  /**
   * Takes away what should not be there.
   *
   * @param source source of what this host sends to virtual IPs itself; undefined leaves that to the kernel.
   * @throws {NetlinkError}
   */
  release(nodeId: string, vips: ReadonlySet<string>, source: string | undefined): void {
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
    const { index, changes } = ensureVipDevice(this.#rtnl, desired);
    const plan = planVips(desired, readVips(this.#rtnl, VIP_DEVICE));
    addVips(this.#rtnl, index, plan, desired.source);
    const count = plan.addAddresses.length;
    return count === 0 ? changes : [...changes, `added ${count} virtual IPs to ${VIP_DEVICE}`];
  }

  /** Whether all is as it should be. */
  isRight(): boolean {
    if (this.#desired === undefined || this.#desired.vips.size === 0) return true;
    return vipsAreRight(this.#desired, readVips(this.#rtnl, VIP_DEVICE));
  }

  /** Removes the device and all virtual IPs with it. */
  remove(): string[] {
    return removeDevice(this.#rtnl, VIP_DEVICE) ? [`removed ${VIP_DEVICE}`] : [];
  }
}
