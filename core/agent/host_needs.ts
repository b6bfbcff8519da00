/**
 * Addresses that this host lives by: a service at one of them would take it from the host, which would then be talking to itself.
 *
 * @module
 */
import { type InterfaceAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import { getRoute } from "../../ffi/rtnl/route_lookup.ts";
import { canonicalAddress } from "../base/address.ts";
import { monotonicClock } from "../base/clock.ts";
import { readTextIfPresent } from "../base/files.ts";
import { VIP_DEVICE } from "../kernel/ipvs/vips.ts";
import { storeHosts } from "../store/location.ts";

/** Name servers as libc and systemd-resolved have them. */
const RESOLVERS = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/** Milliseconds for which what was found holds. */
const FRESH = 5000;

/**
 * Addresses all over the Internet, some of which leave by each default route there is (halves, several next hops). The kernel is only
 * asked; a table may have a million routes, so they are not read.
 */
const FAR = ["1.0.0.1", "1.0.1.2", "100.1.0.1", "129.0.0.1", "203.0.113.1"];

/** What is found on a host. */
export interface HostFacts {
  /** Its ways to the world. */
  readonly routes: readonly Pick<Route, "gateway">[];
  /** Broadcast addresses of its networks. */
  readonly broadcasts: readonly string[];
  /** Texts of resolv.conf(5). */
  readonly resolvers: readonly string[];
  /** Hosts of the store's URL, as far as they are addresses. */
  readonly store: readonly string[];
}

/** Those addresses, each with what it is. Pure. */
export function needsOf({ routes, broadcasts, resolvers, store }: HostFacts): Map<string, string> {
  const needs = new Map<string, string>();
  const take = (address: string, what: string) => {
    try {
      const canonical = canonicalAddress(address);
      if (!needs.has(canonical)) needs.set(canonical, what);
    } catch {
      // A name, or an address with a zone: no virtual IP.
    }
  };
  for (const { gateway } of routes) if (gateway !== undefined) take(gateway, "this host's gateway");
  for (const address of store) take(address, "where this host's store is");
  for (const text of resolvers) {
    for (const [, address] of text.matchAll(/^[ \t]*nameserver[ \t]+([0-9a-fA-F.:]+)/gm)) {
      take(address!, "this host's name server");
    }
  }
  for (const address of broadcasts) {
    take(address, "the broadcast address of a network of this host");
  }
  return needs;
}

/** Looks every few seconds at most. */
export class HostNeeds {
  readonly #rtnl: NetlinkSocket;
  readonly #store: readonly string[];
  #found: ReadonlyMap<string, string> = new Map();
  #own: readonly InterfaceAddress[] = [];
  #since = -Infinity;

  /** @param store URL of the store. */
  constructor(rtnl: NetlinkSocket, store: string) {
    this.#rtnl = rtnl;
    this.#store = storeHosts(store);
  }

  /**
   * What this host lives by.
   *
   * @throws {NetlinkError} if the kernel refuses a dump.
   */
  get addresses(): ReadonlyMap<string, string> {
    this.#look();
    return this.#found;
  }

  /** Addresses of this host's devices, virtual IPs left out. */
  get own(): readonly InterfaceAddress[] {
    this.#look();
    return this.#own;
  }

  #look(): void {
    const now = monotonicClock();
    if (now - this.#since < FRESH) return;
    this.#since = now;
    const vips = getLink(this.#rtnl, VIP_DEVICE)?.index;
    this.#own = listAddresses(this.#rtnl, { family: 4 }).filter(({ ifindex }) => ifindex !== vips);
    this.#found = needsOf({
      routes: this.#waysOut(),
      broadcasts: this.#own.flatMap(({ broadcast }) => broadcast ?? []),
      resolvers: RESOLVERS.map((path) => readTextIfPresent(path) ?? ""),
      store: this.#store,
    });
  }

  #waysOut(): Route[] {
    return FAR.flatMap((dst) => {
      try {
        return getRoute(this.#rtnl, { dst });
      } catch (error) {
        if (error instanceof NetlinkError) return []; // No way there, or a blackhole.
        throw error;
      }
    });
  }
}
