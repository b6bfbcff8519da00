/**
 * The kernel's tables as far as plans of operations concern them, kept by its rules: what is taken, what a deletion takes along.
 * For property tests of plans; tests/kernel/ has the same on the real one.
 *
 * @module
 */
import type { Operation } from "../../core/kernel/plan.ts";
import { sortTables, type Tables } from "../../core/kernel/tables.ts";
import type { FdbEntry } from "../../ffi/rtnl/fdb.ts";
import type { Neighbour } from "../../ffi/rtnl/neighbour.ts";
import type { Nexthop } from "../../ffi/rtnl/nexthop.ts";
import type { Route } from "../../ffi/rtnl/route.ts";

/** Entries of one host. */
export class ModelKernel {
  routes: Route[] = [];
  nexthops: Nexthop[] = [];
  neighbours: Neighbour[] = [];
  fdb: FdbEntry[] = [];

  /** What a dump would show of it. */
  read(device: number): Tables {
    return sortTables(this, device);
  }

  /**
   * Carries out one operation.
   *
   * @throws {Error} with the errno's name if the kernel would refuse.
   */
  do(operation: Operation): void {
    const { verb } = operation;
    switch (operation.kind) {
      case "route": {
        const { value } = operation;
        if (
          verb !== "delete" && value.nexthopId !== undefined &&
          !this.nexthops.some((hop) => hop.id === value.nexthopId)
        ) throw new Error("EINVAL: no such next hop");
        const same = (route: Route) =>
          route.dst === value.dst && route.table === value.table &&
          (route.priority ?? 0) === (value.priority ?? 0);
        this.routes = put(this.routes, verb, value, same);
        return;
      }
      case "nexthop": {
        const { value } = operation;
        this.nexthops = put(this.nexthops, verb, value, (hop) => hop.id === value.id);
        if (verb === "delete") {
          this.routes = this.routes.filter((route) => route.nexthopId !== value.id);
        }
        return;
      }
      case "neighbour": {
        const { value } = operation;
        this.neighbours = put(this.neighbours, verb, value, (one) => one.dst === value.dst);
        return;
      }
      case "fdb": {
        const { value } = operation;
        this.fdb = put(this.fdb, verb, value, (one) => one.mac === value.mac);
      }
    }
  }

  /** Destinations of routes over the device whose packets would find their way. */
  whole(device: number): Set<string> {
    const found = new Set<string>();
    for (const route of this.routes) {
      const hop = route.nexthopId === undefined
        ? route
        : this.nexthops.find((one) => one.id === route.nexthopId);
      if (hop?.ifindex !== device) continue;
      const neighbour = this.neighbours.find((one) => one.dst === hop.gateway);
      if (neighbour !== undefined && this.fdb.some((one) => one.mac === neighbour.mac)) {
        found.add(`${route.dst} ${route.priority ?? 0}`);
      }
    }
    return found;
  }
}

function put<T>(
  entries: readonly T[],
  verb: Operation["verb"],
  value: T,
  same: (entry: T) => boolean,
): T[] {
  const present = entries.some(same);
  if (verb === "add" && present) throw new Error("EEXIST");
  if (verb === "delete" && !present) throw new Error("ESRCH");
  const others = entries.filter((entry) => !same(entry));
  return verb === "delete" ? others : [...others, value];
}
