/**
 * What a host's kernel has of peers, whoever put it there.
 *
 * @module
 */
import type { NetlinkSocket } from "../../../ffi/netlink/socket.ts";
import { openNetns, withNetns } from "../../../ffi/netns.ts";
import { deleteFdb, listFdb } from "../../../ffi/rtnl/fdb.ts";
import { deleteLink, getLink } from "../../../ffi/rtnl/link.ts";
import { deleteNeighbour, listNeighbours } from "../../../ffi/rtnl/neighbour.ts";
import { decodeRoute, deleteRoute, listRoutes } from "../../../ffi/rtnl/route.ts";
import { openRtnl, RTM, RTNLGRP } from "../../../ffi/rtnl/rtnl.ts";
import type { Background } from "../../support/exec.ts";
import type { Host } from "../../support/host.ts";
import { sleep } from "../../support/wait.ts";
import { listen } from "../agent.ts";
import { instant } from "./writer.ts";

const TIMEOUT = 120_000;
/** linux/rtnetlink.h: RTPROT_KERNEL, a route that came with an address. */
const RTPROT_KERNEL = 2;
const SUBNET_LENGTH = 24;
/** linux/rtnetlink.h: RT_TABLE_MAIN. */
const MAIN = 254;

/** Hears of routes to peers' subnets from when it is made. */
export class RouteWatch implements Disposable {
  readonly #events: NetlinkSocket;
  /** How many were made so far. */
  count = 0;

  constructor(host: Host) {
    this.#events = listen(host, RTNLGRP.IPV4_ROUTE);
  }

  /** Reads what came; `of` is called with each destination. */
  read(of?: (dst: string) => void): void {
    const { overrun } = this.#events.receive((message) => {
      const { data, offset, type } = message;
      if (type !== RTM.NEWROUTE || data[offset + 1] !== SUBNET_LENGTH) return;
      if (data[offset + 5] === RTPROT_KERNEL) return;
      this.count++;
      if (of !== undefined) of(decodeRoute(message)?.dst ?? "");
    });
    if (overrun) throw new Error("Lost notifications of routes");
  }

  /** Waits until there have been so many; returns the moment. */
  async made(peers: number, agent: Background): Promise<number> {
    const start = instant();
    while (true) {
      this.read();
      if (this.count >= peers) return instant();
      if (agent.ended !== undefined) throw new Error(`The agent ended: ${agent.stderr}`);
      if (instant() - start > TIMEOUT) {
        throw new Error(`${this.count} of ${peers} routes: ${agent.stderr.slice(-2000)}`);
      }
      await sleep(1);
    }
  }

  /** Waits for the route to one subnet; returns the moment. */
  async madeTo(dst: string): Promise<number> {
    const start = instant();
    let arrived: number | undefined;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    while (arrived === undefined) {
      this.read((to) => {
        if (to === dst) arrived = instant();
      });
      if (instant() - start > TIMEOUT) throw new Error(`No route to ${dst}`);
      // Shorter than a timer's millisecond, and yet no busy loop beside what is measured.
      Atomics.wait(pause, 0, 0, 0.2);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return arrived;
  }

  [Symbol.dispose](): void {
    this.#events[Symbol.dispose]();
  }
}

/** Looks at a host's tables, and deletes what is in them. */
export class KernelView implements Disposable {
  readonly #rtnl: NetlinkSocket;

  constructor(host: Host) {
    using namespace = openNetns(host.options.netns);
    this.#rtnl = withNetns(namespace.fd, () => openRtnl());
  }

  #route(subnet: string) {
    return listRoutes(this.#rtnl, { family: 4, table: MAIN }).find(({ dst }) => dst === subnet);
  }

  #neighbour(device: string, address: string) {
    const link = getLink(this.#rtnl, device);
    if (link === undefined) return undefined;
    const all = listNeighbours(this.#rtnl, { family: 4, ifindex: link.index });
    return all.find(({ dst, mac }) => dst === address && mac !== undefined);
  }

  #fdb(device: string, publicIp: string) {
    const link = getLink(this.#rtnl, device);
    if (link === undefined) return undefined;
    return listFdb(this.#rtnl, { ifindex: link.index }).find(({ dst }) => dst === publicIp);
  }

  /** Whether there is a route to a subnet. */
  hasRoute(subnet: string): boolean {
    return this.#route(subnet) !== undefined;
  }

  /** Whether a device has a neighbour. */
  hasNeighbour(device: string, address: string): boolean {
    return this.#neighbour(device, address) !== undefined;
  }

  /** Whether a VXLAN device has a forwarding entry to an underlay address. */
  hasFdb(device: string, publicIp: string): boolean {
    return this.#fdb(device, publicIp) !== undefined;
  }

  /** Deletes the route to a subnet. */
  deleteRoute(subnet: string): void {
    deleteRoute(this.#rtnl, this.#route(subnet)!);
  }

  /** Deletes a neighbour. */
  deleteNeighbour(device: string, address: string): void {
    deleteNeighbour(this.#rtnl, this.#neighbour(device, address)!);
  }

  /** Deletes a forwarding entry. */
  deleteFdb(device: string, publicIp: string): void {
    deleteFdb(this.#rtnl, this.#fdb(device, publicIp)!);
  }

  /** Deletes a device. */
  deleteDevice(device: string): void {
    deleteLink(this.#rtnl, getLink(this.#rtnl, device)!.index);
  }

  [Symbol.dispose](): void {
    this.#rtnl[Symbol.dispose]();
  }
}
