/**
 * Who may ask what.
 *
 * @module
 */
import { KnetError } from "../../base/error.ts";
import type { ArgumentsOf, CallName } from "./calls.ts";
import { CALLS } from "./calls.ts";

/** Who is at the other end, as whoever carries the stream has proven it. */
export type Peer =
  /** The administrator: root on the host of the agent, or a certificate of that role. */
  | { readonly role: "admin" }
  /** A host: it may change its own lease. */
  | { readonly role: "node"; readonly nodeId: string }
  /** Who may look only. */
  | { readonly role: "reader" };

/** Bytes of the longest request of a peer: only administrators write whole stores. */
export function longestRequest({ role }: Peer): number | undefined {
  return role === "admin" ? undefined : 64 * 1024;
}

function describe(peer: Peer): string {
  if (peer.role === "node") return `host "${peer.nodeId}"`;
  return peer.role === "reader" ? "who may only read" : "the administrator";
}

const WHAT: Partial<Record<CallName, string>> = {
  acquireLease: "lease a subnet",
  renewLease: "renew the lease",
  announceLease: "announce the lease",
  releaseLease: "release the lease",
  putContainers: "tell the store of containers",
  joinReplica: "hold a copy of the store",
  retire: "revoke certificates",
  sweepDrained: "change services",
  initConfig: "set up the cluster",
  reserveLease: "reserve the subnet",
  pruneLeases: "prune leases",
  viewServices: "change services",
  editServices: "change services",
  backup: "back up the store",
  restore: "restore the store",
  adopt: "adopt the store",
};

function refusal(peer: Peer, call: CallName, why: string): KnetError {
  return new KnetError(`Cannot ${WHAT[call] ?? call}: ${describe(peer)} is not allowed to${why}`, {
    exitCode: 4,
    remedy: peer.role === "node"
      ? "Run it as root on a host that holds a copy of the store (knet store info names them)"
      : "Run it as root",
  });
}

/** The node id that a call is about; undefined if it is about none. */
function subject(call: CallName, given: unknown): string | undefined {
  switch (call) {
    case "acquireLease":
      return (given as ArgumentsOf<"acquireLease">).request.nodeId;
    case "renewLease":
      return (given as ArgumentsOf<"renewLease">).holder.nodeId;
    case "announceLease":
      return (given as ArgumentsOf<"announceLease">).own.nodeId;
    case "putContainers":
      return (given as ArgumentsOf<"putContainers">).change.nodeId;
    case "joinReplica":
      return (given as ArgumentsOf<"joinReplica">).nodeId;
    case "retire":
      return (given as ArgumentsOf<"retire">).nodeId;
    case "releaseLease":
      return (given as ArgumentsOf<"releaseLease">).selector;
    default:
      return undefined;
  }
}

/**
 * Lets a call pass, or not.
 *
 * @param given Its arguments, checked.
 * @throws {KnetError} exit code 4 if the peer may not ask it.
 */
export function checkAccess(peer: Peer, call: CallName, given: unknown): void {
  const { access } = CALLS[call];
  if (peer.role === "admin" || access === "read") return;
  if (peer.role === "reader" || access === "admin") throw refusal(peer, call, "");
  const about = subject(call, given);
  if (about !== undefined && about !== peer.nodeId) {
    throw refusal(peer, call, ` for "${about.slice(0, 100)}"`);
  }
}
