/**
 * The kernel's tables as far as plans of operations concern them, kept by its rules: what is taken, what a deletion takes along.
 * For property tests of plans; tests/kernel/ has the same on the real one.
 *
 * @module
 */
import type { Operation } from "../../core/kernel/plan.ts";
import type { Family } from "../../core/cluster/lease.ts";
import { type Kind, KNET_PROTOCOL, type Verb } from "../../core/kernel/kind.ts";
import { fdb } from "../../core/kernel/kinds/fdb.ts";
import { neighbour } from "../../core/kernel/kinds/neighbour.ts";
import { nexthop } from "../../core/kernel/kinds/nexthop.ts";
import { route } from "../../core/kernel/kinds/route.ts";
import { sortEntries, Tables } from "../../core/kernel/tables.ts";
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
  read(device: number, family: Family = 4): Tables {
    const tables = new Tables();
    const scope = { family, device };
    const read = <T>(kind: Kind<T>, dump: readonly T[]) =>
      tables.set(kind, sortEntries(kind, dump, scope));
    read(fdb, this.fdb);
    read(neighbour, this.neighbours);
    read(nexthop, this.nexthops);
    read(route, this.routes.filter(({ protocol }) => protocol === KNET_PROTOCOL));
    return tables;
  }

  /**
   * Carries out one operation.
   *
   * @throws {Error} with the errno's name if the kernel would refuse.
   */
  do(operation: Operation): void {
    const { verb, value } = operation;
    if (is(operation, route)) this.#doRoute(verb, value as Route);
    else if (is(operation, nexthop)) this.#doNexthop(verb, value as Nexthop);
    else if (is(operation, neighbour)) {
      const one = value as Neighbour;
      this.neighbours = put(this.neighbours, verb, one, ({ dst }) => dst === one.dst);
    } else {
      const one = value as FdbEntry;
      this.fdb = put(this.fdb, verb, one, ({ mac }) => mac === one.mac);
    }
  }

  #doRoute(verb: Verb, value: Route): void {
    if (
      verb !== "delete" && value.nexthopId !== undefined &&
      !this.nexthops.some((hop) => hop.id === value.nexthopId)
    ) throw new Error("EINVAL: no such next hop");
    this.routes = put(
      this.routes,
      verb,
      value,
      (one) =>
        one.dst === value.dst && one.table === value.table &&
        (one.priority ?? 0) === (value.priority ?? 0),
    );
  }

  #doNexthop(verb: Verb, value: Nexthop): void {
    this.nexthops = put(this.nexthops, verb, value, (hop) => hop.id === value.id);
    if (verb === "delete") {
      this.routes = this.routes.filter((one) => one.nexthopId !== value.id);
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

/** Whether an operation is about entries of a kind. */
export function is<T>(operation: Operation, kind: Kind<T>): operation is Operation<T> {
  return operation.kind === kind as Kind;
}

function put<T>(
  entries: readonly T[],
  verb: Verb,
  value: T,
  same: (entry: T) => boolean,
): T[] {
  const present = entries.some(same);
  if (verb === "add" && present) throw new Error("EEXIST");
  if (verb === "delete" && !present) throw new Error("ESRCH");
  const others = entries.filter((entry) => !same(entry));
  return verb === "delete" ? others : [...others, value];
}
