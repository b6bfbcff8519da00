/**
 * Addresses that this host lives by: a service at one of them would take it from the host, which would then be talking to itself.
 *
 * @module
 */
import { RTN_UNICAST, RTPROT_BOOT, RTPROT_STATIC } from "../../ffi/linux/rtnetlink.ts";
import { type InterfaceAddress, listAddresses } from "../../ffi/rtnl/address.ts";
import { getLink } from "../../ffi/rtnl/link.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import { listNexthops } from "../../ffi/rtnl/nexthop.ts";
import { listRoutes, type Route } from "../../ffi/rtnl/route.ts";
import { getRoute } from "../../ffi/rtnl/route_lookup.ts";
import {
  addressBits,
  addressToNumber,
  canonicalAddress,
  familyOf,
  networkOf,
  numberToAddress,
} from "../base/address.ts";
import { monotonicClock } from "../base/clock.ts";
import { readTextIfPresent } from "../base/files.ts";
import { VIP_DEVICE } from "../kernel/ipvs/vips.ts";
import { storeHosts } from "../store/location.ts";

/** Name servers as libc and systemd-resolved have them. */
const RESOLVERS = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/** Milliseconds for which what was found holds, if the kernel tells of no change: name servers are read from files. */
const FRESH = 5000;

/** Who makes routes by hand or by few; those of routing daemons may be a million, and are not read. */
const ROUTE_MAKERS: ReadonlySet<number> = new Set([
  1, // RTPROT_REDIRECT
  RTPROT_BOOT,
  RTPROT_STATIC,
  9, // RTPROT_RA
  16, // RTPROT_DHCP
]);

/** Whether a change of this route may change what a host lives by. */
export const isPlaced = ({ protocol }: Pick<Route, "protocol">): boolean =>
  ROUTE_MAKERS.has(protocol);

/**
 * Addresses all over the Internet, some of which leave by each default route there is (halves, several next hops). The kernel is only
 * asked; a table may have a million routes, so they are not read.
 */
const FAR = ["1.0.0.1", "1.0.1.2", "100.1.0.1", "129.0.0.1", "203.0.113.1"];

/** Where a route leads, by a gateway or directly. */
interface Hop {
  readonly gateway?: string;
}

/** What is found on a host. */
export interface HostFacts {
  /** Its ways to the world, and routes that somebody made. */
  readonly routes: readonly (Hop & { readonly hops?: readonly Hop[] })[];
  /** Gateways of next-hop objects. */
  readonly nexthops: readonly Hop[];
  /** Its addresses. */
  readonly own: readonly Pick<InterfaceAddress, "address" | "prefixLength" | "broadcast">[];
  /** Texts of resolv.conf(5). */
  readonly resolvers: readonly string[];
  /** Hosts of the store's URL, as far as they are addresses. */
  readonly store: readonly string[];
}

/** Those addresses, each with what it is. Pure. */
export function needsOf(
  { routes, nexthops, own, resolvers, store }: HostFacts,
): Map<string, string> {
  const needs = new Map<string, string>();
  const take = (address: string, what: string) => {
    try {
      const canonical = canonicalAddress(address);
      if (!needs.has(canonical)) needs.set(canonical, what);
    } catch {
      // A name, or an address with a zone: no virtual IP.
    }
  };
  const hops = routes.flatMap(({ gateway, hops = [] }) => [{ gateway }, ...hops]);
  for (const { gateway } of [...hops, ...nexthops]) {
    if (gateway !== undefined) take(gateway, "this host's gateway");
  }
  for (const address of store) take(address, "where this host's store is");
  for (const text of resolvers) {
    for (const [, address] of text.matchAll(/^[ \t]*nameserver[ \t]+([0-9a-fA-F.:]+)/gm)) {
      take(address!, "this host's name server");
    }
  }
  for (const { address, prefixLength, broadcast } of own) {
    const ends = networkEnds(address, prefixLength);
    if (broadcast !== undefined) take(broadcast, BROADCAST);
    if (ends === undefined) continue;
    take(ends.last, BROADCAST);
    take(ends.first, "the network address of a network of this host");
  }
  return needs;
}

const BROADCAST = "the broadcast address of a network of this host";

/** The two addresses of an IPv4 network that are no host's; undefined if it has none (RFC 3021). */
function networkEnds(address: string, length: number): { first: string; last: string } | undefined {
  if (familyOf(address) !== 4 || length > 30) return undefined;
  const [first = ""] = networkOf(address, length).split("/");
  const size = 1n << BigInt(addressBits(4) - length);
  return { first, last: numberToAddress(addressToNumber(first) + size - 1n, 4) };
}

/** Looks when it is asked, and not again while nothing changed. */
export class HostNeeds {
  readonly #rtnl: NetlinkSocket;
  readonly #store: readonly string[];
  #found: ReadonlyMap<string, string> = new Map();
  #own: readonly InterfaceAddress[] | undefined;
  #routes: readonly Route[] = [];
  #since = -Infinity;

  /** @param store URL of the store. */
  constructor(rtnl: NetlinkSocket, store: string) {
    this.#rtnl = rtnl;
    this.#store = storeHosts(store);
  }

  /** The kernel told of a change of addresses or routes. */
  forget(): void {
    this.#own = undefined;
    this.#since = -Infinity;
  }

  /**
   * What this host lives by.
   *
   * @throws {NetlinkError} if the kernel refuses a dump.
   */
  get addresses(): ReadonlyMap<string, string> {
    const now = monotonicClock();
    if (now - this.#since < FRESH) return this.#found;
    this.#since = now;
    const own = this.#look();
    return this.#found = needsOf({
      routes: [...this.#waysOut(), ...this.#routes],
      nexthops: this.#nexthops(),
      own,
      resolvers: RESOLVERS.map((path) => readTextIfPresent(path) ?? ""),
      store: this.#store,
    });
  }

  /** Networks of this host's devices, virtual IPs left out: each address with its prefix length. */
  get connected(): string[] {
    return this.#look().map(({ address, prefixLength }) => `${address}/${prefixLength}`);
  }

  /** Destinations of the routes that somebody made. */
  get routed(): string[] {
    this.#look();
    return this.#routes.filter(({ type }) => type === RTN_UNICAST).map(({ dst }) => dst);
  }

  #look(): readonly InterfaceAddress[] {
    if (this.#own !== undefined) return this.#own;
    const vips = getLink(this.#rtnl, VIP_DEVICE)?.index;
    this.#routes = [...ROUTE_MAKERS].flatMap((protocol) =>
      listRoutes(this.#rtnl, { family: 4, protocol })
    );
    return this.#own = listAddresses(this.#rtnl, { family: 4 })
      .filter(({ ifindex }) => ifindex !== vips);
  }

  /** Those of others; a kernel may have none of the kind. */
  #nexthops(): Hop[] {
    if (!this.#routes.some(({ nexthopId }) => nexthopId !== undefined)) return [];
    return listNexthops(this.#rtnl).filter(isPlaced);
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
