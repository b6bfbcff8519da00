/**
 * Sends a plan to the kernel as one batch.
 *
 * @module
 */
import { Batch } from "../ffi/netlink/batch.ts";
import type { NetlinkError } from "../ffi/netlink/error.ts";
import type { NetlinkSocket } from "../ffi/netlink/socket.ts";
import { encodeFdb } from "../ffi/rtnl/fdb.ts";
import { encodeNeighbour } from "../ffi/rtnl/neighbour.ts";
import { encodeNexthop } from "../ffi/rtnl/nexthop.ts";
import { encodeRoute } from "../ffi/rtnl/route.ts";
import { advance, type Operation } from "./plan.ts";
import type { Tables } from "./tables.ts";

/** An operation that the kernel refused. */
export interface Failure {
  readonly operation: Operation;
  readonly error: NetlinkError;
}

// What is gone already need not be deleted: the device may have taken its entries with it.
const GONE = new Set(["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"]);

/** Writes one operation into a batch. */
export function encodeOperation(batch: Batch, operation: Operation): void {
  switch (operation.kind) {
    case "route":
      return encodeRoute(batch, operation.verb, operation.value);
    case "nexthop":
      return encodeNexthop(batch, operation.verb, operation.value);
    case "neighbour":
      return encodeNeighbour(batch, operation.verb, operation.value);
    case "fdb":
      return encodeFdb(batch, operation.verb, operation.value);
  }
}

/**
 * Sends the operations and brings the tables up to date with those that succeeded.
 *
 * @returns What the kernel refused. Deleting what is gone already is no failure.
 */
export function apply(
  rtnl: NetlinkSocket,
  operations: readonly Operation[],
  tables: Tables,
): Failure[] {
  if (operations.length === 0) return [];
  const batch = new Batch();
  for (const operation of operations) encodeOperation(batch, operation);
  const refused = new Map(rtnl.send(batch).map((failure) => [failure.index, failure.error]));
  const failures: Failure[] = [];
  operations.forEach((operation, index) => {
    const error = refused.get(index);
    if (error === undefined || (operation.verb === "delete" && GONE.has(error.code))) {
      advance(tables, operation);
    } else failures.push({ operation, error });
  });
  withdraw(rtnl, operations, failures, tables);
  return failures;
}

/**
 * Takes back routes whose next hop got the id of somebody else's: they would lead wherever that one leads, and the kernel would
 * refuse their gateway on our device for as long as they are there.
 */
function withdraw(
  rtnl: NetlinkSocket,
  operations: readonly Operation[],
  failures: readonly Failure[],
  tables: Tables,
): void {
  const foreign = new Set<number | undefined>();
  for (const { operation, error } of failures) {
    if (operation.kind === "nexthop" && operation.verb === "add" && error.code === "EEXIST") {
      foreign.add(operation.value.id);
    }
  }
  if (foreign.size === 0) return;
  const wrong = operations.flatMap((operation): Operation[] =>
    operation.kind === "route" && operation.verb !== "delete" &&
      foreign.has(operation.value.nexthopId)
      ? [{ ...operation, verb: "delete" }]
      : []
  );
  const batch = new Batch();
  for (const operation of wrong) {
    encodeOperation(batch, operation);
    advance(tables, operation);
  }
  rtnl.send(batch);
}
