/**
 * From what should be to what is: the smallest list of operations, in an order that never leaves a hole.
 *
 * @module
 */
import type { FdbEntry } from "../../ffi/rtnl/fdb.ts";
import type { Neighbour } from "../../ffi/rtnl/neighbour.ts";
import type { Nexthop } from "../../ffi/rtnl/nexthop.ts";
import type { Route } from "../../ffi/rtnl/route.ts";
import {
  type Desired,
  FIRST_NEXTHOP_ID,
  KNET_PROTOCOL,
  MAIN_TABLE,
  type Tables,
  type Touched,
  type WantedFdb,
  type WantedNeighbour,
  type WantedRoute,
} from "./tables.ts";

/** How an entry is written: "add" fails if the key is taken, by a foreign route for one; "replace" overwrites our own. */
export type Verb = "add" | "replace" | "delete";

/** One message to the kernel. */
export type Operation =
  | { readonly verb: Verb; readonly kind: "route"; readonly value: Route }
  | { readonly verb: Verb; readonly kind: "nexthop"; readonly value: Nexthop }
  | { readonly verb: Verb; readonly kind: "neighbour"; readonly value: Neighbour }
  | { readonly verb: Verb; readonly kind: "fdb"; readonly value: FdbEntry };

const NUD_PERMANENT = 0x80; // linux/neighbour.h
const NUD_NOARP = 0x40;
const NTF_SELF = 0x02;

/**
 * Compares and plans. FDB entries come before the neighbours that lead to them (a peer's MAC address may change under a route that
 * stays), both before the next hop and the route that use them; a route goes before them.
 *
 * @param touched Look at these keys only; absent: at everything, foreign leftovers (`extra`) included.
 */
export function plan(
  desired: Desired,
  actual: Tables,
  options: { readonly nexthopObjects: boolean },
  touched?: Touched,
): Operation[] {
  const before: Operation[] = [];
  const after: Operation[] = [];
  const neighbours: Operation[] = [];
  const fdb: Operation[] = [];
  const nexthops: Operation[] = [];
  const routes: Operation[] = [];

  if (touched === undefined) {
    for (const value of actual.extra.routes) before.push({ verb: "delete", kind: "route", value });
    for (const value of actual.extra.nexthops) {
      after.push({ verb: "delete", kind: "nexthop", value });
    }
    for (const value of actual.extra.neighbours) {
      before.push({ verb: "delete", kind: "neighbour", value });
    }
    for (const value of actual.extra.fdb) before.push({ verb: "delete", kind: "fdb", value });
  }

  for (const mac of touched?.fdb ?? desired.fdb.keys()) {
    const wanted = desired.fdb.get(mac);
    const present = actual.fdb.get(mac);
    if (wanted !== undefined && !(present !== undefined && sameFdb(wanted, present))) {
      fdb.push({ verb: present ? "replace" : "add", kind: "fdb", value: fdbEntry(wanted) });
    }
  }
  for (const dst of touched?.neighbours ?? desired.neighbours.keys()) {
    const wanted = desired.neighbours.get(dst);
    const present = actual.neighbours.get(dst);
    if (wanted !== undefined && !(present !== undefined && sameNeighbour(wanted, present))) {
      // Always "replace": the kernel itself may have made an unresolved entry for this address meanwhile.
      neighbours.push({ verb: "replace", kind: "neighbour", value: neighbourEntry(wanted) });
    }
  }

  const ids = new IdSource(actual.takenIds);
  const newIds = new Map<string, number>();
  for (const dst of touched?.routes ?? desired.routes.keys()) {
    const wanted = desired.routes.get(dst);
    const present = actual.routes.get(dst);
    if (wanted === undefined) {
      if (present !== undefined) before.push({ verb: "delete", kind: "route", value: present });
      continue;
    }
    let nexthopId: number | undefined;
    if (options.nexthopObjects && isByNexthop(wanted)) {
      const nexthop = actual.nexthops.get(wanted.gateway);
      nexthopId = nexthop?.id ?? newIds.get(wanted.gateway) ?? ids.next();
      if (
        !newIds.has(wanted.gateway) && !(nexthop !== undefined && sameNexthop(wanted, nexthop))
      ) {
        newIds.set(wanted.gateway, nexthopId);
        nexthops.push({
          verb: nexthop ? "replace" : "add",
          kind: "nexthop",
          value: nexthopEntry(wanted, nexthopId),
        });
      }
    }
    if (!(present !== undefined && sameRoute(wanted, nexthopId, present))) {
      routes.push({
        verb: present ? "replace" : "add",
        kind: "route",
        value: routeEntry(wanted, nexthopId),
      });
    }
  }

  // What is there and not wanted. In the touched case stale routes were met above.
  if (touched === undefined) {
    for (const [dst, value] of actual.routes) {
      if (!desired.routes.has(dst)) before.push({ verb: "delete", kind: "route", value });
    }
  }
  for (const gateway of touched?.gateways ?? actual.nexthops.keys()) {
    const value = actual.nexthops.get(gateway);
    if (value === undefined) continue;
    if (!desired.gateways.has(gateway) || !options.nexthopObjects) {
      after.push({ verb: "delete", kind: "nexthop", value });
    }
  }
  for (const dst of touched?.neighbours ?? actual.neighbours.keys()) {
    const value = actual.neighbours.get(dst);
    if (value !== undefined && !desired.neighbours.has(dst)) {
      after.push({ verb: "delete", kind: "neighbour", value });
    }
  }
  for (const mac of touched?.fdb ?? actual.fdb.keys()) {
    const value = actual.fdb.get(mac);
    if (value !== undefined && !desired.fdb.has(mac)) {
      after.push({ verb: "delete", kind: "fdb", value });
    }
  }
  return before.length + after.length === 0 && routes.length === 0
    ? [...fdb, ...neighbours, ...nexthops]
    : [...before, ...fdb, ...neighbours, ...nexthops, ...routes, ...after];
}

/** Gives out next-hop ids that nobody has, lowest first. */
class IdSource {
  #next = FIRST_NEXTHOP_ID;
  readonly #taken: ReadonlySet<number>;
  constructor(taken: ReadonlySet<number>) {
    this.#taken = taken;
  }
  next(): number {
    while (this.#taken.has(this.#next)) this.#next++;
    return this.#next++;
  }
}

function sameFdb(wanted: WantedFdb, present: FdbEntry): boolean {
  return present.dst === wanted.dst && present.ifindex === wanted.ifindex &&
    (present.state & NUD_PERMANENT) !== 0;
}

function sameNeighbour(wanted: WantedNeighbour, present: Neighbour): boolean {
  return present.mac === wanted.mac && present.ifindex === wanted.ifindex &&
    (present.state & NUD_PERMANENT) !== 0;
}

function sameNexthop(wanted: WantedRoute, present: Nexthop): boolean {
  return present.ifindex === wanted.ifindex && present.onlink === wanted.onlink;
}

function sameRoute(
  wanted: WantedRoute,
  nexthopId: number | undefined,
  present: Route,
): boolean {
  if (nexthopId !== undefined) return present.nexthopId === nexthopId;
  return present.nexthopId === undefined && present.gateway === wanted.gateway &&
    present.ifindex === wanted.ifindex && present.onlink === wanted.onlink;
}

function fdbEntry(wanted: WantedFdb): FdbEntry {
  const { ifindex, mac, dst } = wanted;
  return { ifindex, mac, dst, state: NUD_PERMANENT | NUD_NOARP, flags: NTF_SELF };
}

function neighbourEntry(wanted: WantedNeighbour): Neighbour {
  const { family, ifindex, dst, mac } = wanted;
  return { family, ifindex, dst, mac, state: NUD_PERMANENT, flags: 0 };
}

/** A route that a next-hop object may carry. */
type NexthopRoute = WantedRoute & { readonly gateway: string };

function isByNexthop(wanted: WantedRoute): wanted is NexthopRoute {
  return wanted.byNexthop && wanted.gateway !== undefined;
}

function nexthopEntry(wanted: NexthopRoute, id: number): Nexthop {
  return {
    id,
    family: wanted.family,
    gateway: wanted.gateway,
    ifindex: wanted.ifindex,
    protocol: KNET_PROTOCOL,
    onlink: wanted.onlink,
    flags: 0,
  };
}

function routeEntry(wanted: WantedRoute, nexthopId: number | undefined): Route {
  const { family, dst, gateway, ifindex, onlink } = wanted;
  const protocol = KNET_PROTOCOL;
  // RT_SCOPE_LINK and RT_SCOPE_UNIVERSE, linux/rtnetlink.h; IPv6 has no scopes.
  const scope = gateway === undefined && family === 4 ? 253 : 0;
  const table = MAIN_TABLE;
  const type = 1; // RTN_UNICAST
  const flags = 0;
  if (nexthopId !== undefined) {
    return { family, dst, nexthopId, protocol, scope: 0, table, type, onlink: false, flags };
  }
  return gateway === undefined
    ? { family, dst, ifindex, protocol, scope, table, type, onlink, flags }
    : { family, dst, gateway, ifindex, protocol, scope, table, type, onlink, flags };
}

/** What the tables hold after an operation succeeded. */
export function advance(tables: Tables, operation: Operation): void {
  const gone = operation.verb === "delete";
  switch (operation.kind) {
    case "route": {
      const { value } = operation;
      if (!gone) tables.routes.set(value.dst, value);
      else if (tables.routes.get(value.dst) === value) tables.routes.delete(value.dst);
      break;
    }
    case "nexthop": {
      const { value } = operation;
      if (value.gateway === undefined) break;
      if (!gone) {
        tables.nexthops.set(value.gateway, value);
        tables.takenIds.add(value.id);
      } else {
        if (tables.nexthops.get(value.gateway) === value) tables.nexthops.delete(value.gateway);
        tables.takenIds.delete(value.id);
      }
      break;
    }
    case "neighbour":
      if (gone) tables.neighbours.delete(operation.value.dst);
      else tables.neighbours.set(operation.value.dst, operation.value);
      break;
    case "fdb": {
      const { value } = operation;
      if (!gone) tables.fdb.set(value.mac, value);
      else if (tables.fdb.get(value.mac) === value) tables.fdb.delete(value.mac);
      break;
    }
  }
}
