/**
 * Which kernel events contradict what knet believes. The kernel removes routes and next hops without a word when a device goes
 * down, loses its carrier or its last address, so any change of a device of ours counts.
 *
 * @module
 */
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import type { Link } from "../../ffi/rtnl/link.ts";
import { isHostIfname } from "../container/wire_names.ts";
import { concernsLink } from "../overlay/same_link.ts";
import { RT_TABLE_MAIN, RTPROT_KERNEL } from "../../ffi/linux/rtnetlink.ts";
import type { Underlay } from "../overlay/underlay.ts";
import { isPlaced } from "./host_needs.ts";

/** What of an underlay tells which events are about it. */
export type WatchedUnderlay =
  & Pick<Underlay, "ifindex" | "nearby" | "ways">
  & Partial<Pick<Underlay, "name" | "address">>;

/** Where to look. */
export interface Watched {
  /** Indexes of knet's devices, as far as they are made. */
  readonly devices: ReadonlySet<number>;
  /** Their names. */
  readonly names: ReadonlySet<string>;
  /** Name of the bridge. */
  readonly bridge: string;
  /** Undefined while there is none: anything may bring it. */
  readonly underlay: WatchedUnderlay | undefined;
  /** Peers' entries. */
  readonly entries: { contradicts(event: RtnlEvent): boolean };
  /** Netlink port id of the socket that knet programs by: its own changes come back with it. */
  readonly port: number;
}

/** What an event asks for. */
export type Drift = "overlay" | "underlay" | "sysctl" | "containers" | undefined;

/** Remembers what each watched link looked like, since NEWLINK comes for many reasons. */
export class LinkMemory {
  readonly #seen = new Map<number, string>();

  /** True if the link differs in something that matters from what was seen before. */
  changed(link: Link, withCarrier: boolean): boolean {
    const { name, kind, up, carrier, mac, mtu, addrGenMode, ipv6, alias, master, hairpin } = link;
    const now = JSON.stringify([
      ...[name, kind, up, withCarrier && carrier, mac, mtu, addrGenMode, ipv6],
      ...[alias, master, hairpin, link.vxlan],
    ]);
    const before = this.#seen.get(link.index);
    this.#seen.set(link.index, now);
    return before !== now;
  }

  forget(index: number): void {
    this.#seen.delete(index);
  }
}

/** Whether the underlay may be on a link: by what it is or was called, since a device can be deleted and made again. */
function carries({ index, name }: Link, underlay: WatchedUnderlay | undefined): boolean {
  return underlay === undefined || index === underlay.ifindex || name === underlay.name ||
    (underlay.ways?.some((way) => way.ifindex === index || way.name === name) ?? false);
}

/** Decides about one event. */
export function driftOf(event: RtnlEvent, watched: Watched, memory: LinkMemory): Drift {
  const { devices, names, bridge, underlay } = watched;
  switch (event.kind) {
    case "link": {
      const { value: link, deleted } = event;
      const ours = devices.has(link.index) || names.has(link.name);
      const { master } = link;
      // One with another name is still a port.
      if (!ours && (isHostIfname(link.name) || (master !== undefined && devices.has(master)))) {
        if (!deleted) return memory.changed(link, false) ? "containers" : undefined;
        memory.forget(link.index);
        return "containers";
      }
      if (!ours && !carries(link, underlay)) return undefined;
      if (deleted) {
        memory.forget(link.index);
        return ours ? "overlay" : "underlay";
      }
      // A bridge has a carrier only while a container is attached: no news.
      if (!memory.changed(link, link.name !== bridge)) return undefined;
      return ours ? "overlay" : "underlay";
    }
    case "address": {
      if (event.pid === watched.port) return undefined;
      const { ifindex } = event.value;
      if (devices.has(ifindex)) return "overlay";
      return underlay === undefined || ifindex === underlay.ifindex ||
          event.value.address === underlay.address
        ? "underlay"
        : undefined;
    }
    case "route": {
      const { value: route } = event;
      if (event.pid === watched.port || route.table !== RT_TABLE_MAIN) return undefined;
      // That to the bridge's own network, which the kernel made with the address.
      const { ifindex, protocol } = route;
      if (event.deleted && protocol === RTPROT_KERNEL && devices.has(ifindex ?? 0)) {
        return "overlay";
      }
      if (route.dst.endsWith("/0")) return "underlay";
      if (underlay !== undefined && concernsLink(underlay, route)) return "underlay";
      return watched.entries.contradicts(event) ? "overlay" : undefined;
    }
    case "traffic":
      // Limits of a container's bandwidth, perhaps; whose device it is, the look says.
      return event.pid === watched.port ? undefined : "containers";
    case "netconf":
      return "sysctl";
    default:
      return watched.entries.contradicts(event) ? "overlay" : undefined;
  }
}

/** Whether an event may change what else this host has and lives by: addresses, and routes that somebody made. */
export function concernsHost(event: RtnlEvent, { port }: Pick<Watched, "port">): boolean {
  if (event.kind === "address") return event.pid !== port;
  return event.kind === "route" && event.pid !== port && isPlaced(event.value);
}
