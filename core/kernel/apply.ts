/**
 * Sends a plan to the kernel as one batch a socket.
 *
 * @module
 */
import { Batch } from "../../ffi/netlink/batch.ts";
import { messageOf } from "../base/error.ts";
import type { KernelSockets, Kind } from "./kind.ts";
import { advance, type Operation } from "./plan.ts";
import type { Tables } from "./tables.ts";

/** An operation that was refused. */
export interface Failure {
  readonly operation: Operation;
  /** A NetlinkError with its `code`, or why the entry cannot be written down as a message. */
  readonly error: Error & { readonly code?: string };
}

/** Bytes of messages that go to the kernel at once. */
const BATCH_BYTES = 128 * 1024;

/**
 * Sends the operations and brings the tables up to date with those that succeeded.
 *
 * @returns What was refused: by the kernel, or because it cannot be encoded. Deleting what is gone already is no failure.
 * @throws {NetlinkError} if a socket cannot be opened, or sending fails as a whole.
 */
export function apply(
  sockets: KernelSockets,
  operations: readonly Operation[],
  tables: Tables,
): Failure[] {
  const failures: Failure[] = [];
  // One send's worth at a time: the bytes stay in the processor's cache, and nothing grows with the cluster.
  const batch = new Batch(BATCH_BYTES + (BATCH_BYTES >> 2));
  let first = 0;
  /** Indexes of those since `first` that could not be encoded. */
  let left: number[] = [];
  for (let index = 0; index < operations.length; index++) {
    const operation = operations[index]!;
    const { kind, verb, value } = operation;
    const { count } = batch;
    try {
      kind.encode(batch, verb, value);
    } catch (error) {
      if (batch.count > count) batch.drop();
      left.push(index);
      failures.push({ operation, error: cannotEncode(operation, error) });
    }
    const next = operations[index + 1];
    if (next !== undefined && next.kind.channel === kind.channel && batch.size < BATCH_BYTES) {
      continue;
    }
    const refused = batch.count === 0 ? [] : sockets.of(kind).send(batch);
    batch.clear();
    const all = operations.slice(first, index + 1);
    const sent = left.length === 0 ? all : all.filter((_, at) => !left.includes(first + at));
    const failed = new Set<number>();
    for (const { index: at, error } of refused) {
      const operation = sent[at]!;
      // What is gone already need not be deleted: the device may have taken its entries with it.
      if (operation.verb === "delete" && error.isGone) continue;
      failures.push({ operation, error });
      failed.add(at);
    }
    sent.forEach((done, at) => {
      if (!failed.has(at)) advance(tables, done);
    });
    first = index + 1;
    left = [];
  }
  withdraw(sockets, operations, failures, tables);
  return failures;
}

function cannotEncode({ verb, kind, value }: Operation, error: unknown): Error {
  return new TypeError(`Cannot ${verb} ${kind.name} ${kind.key(value)}: ${messageOf(error)}`, {
    cause: error,
  });
}

/**
 * Takes back what is carried by an entry whose number turned out to be somebody else's: it would lead wherever that one leads, and
 * the kernel would refuse its gateway on our device for as long as it is there.
 */
function withdraw(
  sockets: KernelSockets,
  operations: readonly Operation[],
  failures: readonly Failure[],
  tables: Tables,
): void {
  const foreign = new Map<Kind, Set<number>>();
  for (const { operation: { kind, verb, value }, error } of failures) {
    if (kind.numbers === undefined || verb !== "add" || error.code !== "EEXIST") continue;
    const numbers = foreign.get(kind) ?? new Set();
    foreign.set(kind, numbers.add(kind.numbers.of(value)));
  }
  if (foreign.size === 0) return;
  for (const operation of operations) {
    const { carrier } = operation.kind;
    const number = operation.verb === "delete" ? undefined : carrier?.of(operation.value);
    if (number === undefined || !foreign.get(carrier!.kind)?.has(number)) continue;
    const batch = new Batch(256);
    operation.kind.encode(batch, "delete", operation.value);
    sockets.of(operation.kind).send(batch);
    advance(tables, { ...operation, verb: "delete" });
  }
}
