/**
 * Which kernel events contradict what knet believes. The kernel removes routes and next hops without a word when a device goes
 * down, loses its carrier or its last address, so any change of a device of ours counts.
 *
 * @module
 */
import type { RtnlEvent } from "../../ffi/rtnl/events.ts";
import type { Link } from "../../ffi/rtnl/link.ts";
import { concernsLink } from "../overlay/same_link.ts";
import { isPlainMetric, KNET_PROTOCOL, MAIN_TABLE, type Tables } from "../kernel/tables.ts";
import type { Underlay } from "../overlay/underlay.ts";

/** Where to look. */
export interface Watched {
  readonly device: { readonly index: number; readonly name: string | undefined };
  readonly bridge: { readonly index: number; readonly name: string };
  /** Undefined while there is none. */
  readonly underlay: Pick<Underlay, "ifindex" | "nearby"> | undefined;
  readonly tables: Tables;
  /** Netlink port id of the socket that knet programs by: its own changes come back with it. */
  readonly port: number;
}

/** What an event asks for. */
export type Drift = "overlay" | "underlay" | "sysctl" | undefined;

/** Remembers what each watched link looked like, since NEWLINK comes for many reasons. */
export class LinkMemory {
  readonly #seen = new Map<number, string>();

  /** True if the link differs in something that matters from what was seen before. */
  changed(link: Link, withCarrier: boolean): boolean {
    const now = [
      link.name,
      link.up,
      withCarrier && link.carrier,
      link.mac,
      link.mtu,
      link.addrGenMode,
    ]
      .join(" ");
    const before = this.#seen.get(link.index);
    this.#seen.set(link.index, now);
    return before !== now;
  }

  forget(index: number): void {
    this.#seen.delete(index);
  }
}

const NUD_PERMANENT = 0x80; // linux/neighbour.h

/** Decides about one event. */
export function driftOf(event: RtnlEvent, watched: Watched, memory: LinkMemory): Drift {
  const { device, bridge, underlay, tables } = watched;
  switch (event.kind) {
    case "link": {
      const { value: link, deleted } = event;
      const ours = link.index === device.index || link.index === bridge.index ||
        link.name === device.name || link.name === bridge.name;
      if (!ours && link.index !== underlay?.ifindex) return undefined;
      if (deleted) {
        memory.forget(link.index);
        return ours ? "overlay" : "underlay";
      }
      // A bridge has a carrier only while a container is attached: no news.
      if (!memory.changed(link, link.index !== bridge.index)) return undefined;
      return ours ? "overlay" : "underlay";
    }
    case "address": {
      if (event.pid === watched.port) return undefined;
      const { ifindex } = event.value;
      if (ifindex === underlay?.ifindex) return "underlay";
      return ifindex === device.index || ifindex === bridge.index ? "overlay" : undefined;
    }
    case "route": {
      const { value: route } = event;
      if (event.pid === watched.port || route.table !== MAIN_TABLE) return undefined;
      if (route.dst.endsWith("/0")) return "underlay";
      if (underlay !== undefined && concernsLink(underlay, route)) return "underlay";
      const known = tables.routes.get(route.dst);
      if (event.deleted) {
        return known !== undefined && route.protocol === KNET_PROTOCOL ? "overlay" : undefined;
      }
      if (route.protocol !== KNET_PROTOCOL) {
        // `ip route replace` by somebody else: the kernel says nothing of ours that it took the place of.
        return known !== undefined && isPlainMetric(route) ? "overlay" : undefined;
      }
      const same = known !== undefined &&
        (known.nexthopId !== undefined
          ? known.nexthopId === route.nexthopId
          : known.gateway === route.gateway && known.ifindex === route.ifindex);
      return same ? undefined : "overlay";
    }
    case "nexthop": {
      const { value: nexthop } = event;
      if (event.pid === watched.port || nexthop.protocol !== KNET_PROTOCOL) return undefined;
      const known = nexthop.gateway === undefined
        ? undefined
        : tables.nexthops.get(nexthop.gateway);
      if (event.deleted) {
        return tables.takenIds.has(nexthop.id) ? "overlay" : undefined;
      }
      return known?.id === nexthop.id && known.ifindex === nexthop.ifindex ? undefined : "overlay";
    }
    case "neighbour": {
      const { value: neighbour } = event;
      if (event.pid === watched.port || neighbour.ifindex !== device.index) return undefined;
      const known = tables.neighbours.get(neighbour.dst);
      if (event.deleted) return known === undefined ? undefined : "overlay";
      if ((neighbour.state & NUD_PERMANENT) === 0) {
        return known === undefined ? undefined : "overlay";
      }
      return known?.mac === neighbour.mac ? undefined : "overlay";
    }
    case "fdb": {
      const { value: entry } = event;
      if (event.pid === watched.port || entry.ifindex !== device.index) return undefined;
      const known = tables.fdb.get(entry.mac);
      if (event.deleted) {
        // An entry that was replaced is announced as deleted with its old destination.
        return known !== undefined && known.dst === entry.dst ? "overlay" : undefined;
      }
      return known?.dst === entry.dst ? undefined : "overlay";
    }
    case "netconf":
      return "sysctl";
    default:
      return undefined;
  }
}
