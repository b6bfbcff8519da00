/**
 * Sends a plan to the kernel as one batch.
 *
 * @module
 */
import { Batch } from "../../ffi/netlink/batch.ts";
import type { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { encodeFdb } from "../../ffi/rtnl/fdb.ts";
import { encodeNeighbour } from "../../ffi/rtnl/neighbour.ts";
import { encodeNexthop } from "../../ffi/rtnl/nexthop.ts";
import { encodeRoute } from "../../ffi/rtnl/route.ts";
import { advance, type Operation } from "./plan.ts";
import type { Tables } from "./tables.ts";

/** An operation that the kernel refused. */
export interface Failure {
  readonly operation: Operation;
  readonly error: NetlinkError;
}

// What is gone already need not be deleted: the device may have taken its entries with it.
const GONE = new Set(["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"]);

/** Bytes of messages that go to the kernel at once. */
const BATCH_BYTES = 128 * 1024;

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
  const failures: Failure[] = [];
  // One send's worth at a time: the bytes stay in the processor's cache, and nothing grows with the cluster.
  const batch = new Batch(BATCH_BYTES + (BATCH_BYTES >> 2));
  let first = 0;
  operations.forEach((operation, index) => {
    encodeOperation(batch, operation);
    if (batch.size < BATCH_BYTES && index < operations.length - 1) return;
    const refused = rtnl.send(batch);
    batch.clear();
    let next = 0;
    for (let at = first; at <= index; at++) {
      const done = operations[at]!;
      const error = refused[next]?.index === at - first ? refused[next++]!.error : undefined;
      if (error === undefined || (done.verb === "delete" && GONE.has(error.code))) {
        advance(tables, done);
      } else failures.push({ operation: done, error });
    }
    first = index + 1;
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
