/**
 * Sends a plan for virtual servers to the kernel as one batch.
 *
 * @module
 */
import type { IpvsSocket } from "../../../ffi/genl/ipvs.ts";
import { encodeDest, encodeDestDeletion } from "../../../ffi/genl/ipvs_dest.ts";
import { encodeService, encodeServiceDeletion } from "../../../ffi/genl/ipvs_service.ts";
import { Batch } from "../../../ffi/netlink/batch.ts";
import type { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import type { ServiceOperation } from "./plan_servers.ts";

/** An operation that the kernel refused. */
export interface ServiceFailure {
  readonly operation: ServiceOperation;
  readonly error: NetlinkError;
}

/** Writes one operation into a batch. */
export function encodeServiceOperation(
  socket: IpvsSocket,
  batch: Batch,
  operation: ServiceOperation,
): void {
  const { server, verb } = operation;
  if (operation.kind === "server") {
    if (verb === "delete") encodeServiceDeletion(socket, batch, server);
    else encodeService(socket, batch, verb, server);
  } else if (verb === "delete") encodeDestDeletion(socket, batch, server, operation.dest);
  else encodeDest(socket, batch, verb, server, operation.dest);
}

/**
 * Sends the operations.
 *
 * @returns what the kernel refused. Deleting what is gone is no failure, and of a virtual server that could not be added its real
 * servers are not named.
 */
export function applyServices(
  socket: IpvsSocket,
  operations: readonly ServiceOperation[],
): ServiceFailure[] {
  if (operations.length === 0) return [];
  const batch = new Batch(Math.min(operations.length, 4096) * 128);
  for (const operation of operations) encodeServiceOperation(socket, batch, operation);
  const failures: ServiceFailure[] = [];
  const refused = new Set<string>();
  for (const { index, error } of socket.send(batch)) {
    const operation = operations[index]!;
    if (operation.verb === "delete" && error.isGone) continue;
    if (operation.kind === "dest" && refused.has(operation.server.key)) continue;
    if (operation.kind === "server" && operation.verb === "add") refused.add(operation.server.key);
    failures.push({ operation, error });
  }
  return failures;
}
