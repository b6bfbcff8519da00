/**
 * What the ends of a container's wire are called, and their MAC addresses. Pure.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { deriveMac } from "../base/mac.ts";
import type { ContainerRecord } from "./record.ts";

/** Name of the veth's end on the host: the same for the same interface of the same namespace. */
export function hostIfname(netnsId: string, ifname: string): string {
  return `kv${createHash("sha256").update(`${netnsId} ${ifname}`).digest("hex").slice(0, 13)}`;
}

/** Name of the device that what a container sends waits in, by that of its wire's end; none that {@linkcode hostIfname} makes. */
export function shaperIfname(hostIfname: string): string {
  return `${hostIfname.slice(0, 14)}i`;
}

/** Whether a device's name is one that {@linkcode hostIfname} or {@linkcode shaperIfname} makes. */
export function isHostIfname(name: string): boolean {
  return /^kv[0-9a-f]{12}[0-9a-fi]$/.test(name);
}

/** MAC address of the end on the host. */
export function hostMac(hostIfname: string): string {
  return deriveMac("veth", hostIfname);
}

/**
 * MAC address of a container's interface, made from its address: whoever gets the address next is
 * reached by the neighbour entry of the one before.
 */
export function containerMac(address: string): string {
  return deriveMac("container", address);
}

/** MAC address of a record's interface. */
export function macOf({ address, mac }: Pick<ContainerRecord, "address" | "mac">): string {
  return mac ?? containerMac(address);
}
