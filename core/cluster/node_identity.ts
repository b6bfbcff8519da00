/**
 * Who this host is: node id, node name, boot id, agent id.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { readSmallFile } from "../../ffi/file.ts";
import { randomId } from "../base/clock.ts";
import { KnetError } from "../base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../base/files.ts";
import { checkNodeWord } from "./node_word.ts";

/** The names a host goes by in the store. */
export interface NodeIdentity {
  /** Stays the same for the life of the installation. */
  readonly nodeId: string;
  /** For people; may change. */
  readonly nodeName: string;
  /** Changes at every boot of the kernel. */
  readonly bootId: string;
  /** Random, made at the first join and kept in the data directory: tells a cloned machine from the one it was cloned of. */
  readonly agentId: string;
}

/** Hash of a machine-id that belongs to knet alone, as machine-id(5) asks. */
export function nodeIdOfMachine(machineId: string): string {
  return createHash("sha256").update(`knet-node-id\0${machineId.trim()}`).digest("hex").slice(
    0,
    32,
  );
}

/** /proc/sys/kernel/random/boot_id. */
export function bootId(): string {
  return readSmallFile("/proc/sys/kernel/random/boot_id")?.trim() ?? "unknown";
}

/** Node id kept in the data directory, undefined before the first join. */
export function storedNodeId(dataDir: string): string | undefined {
  return readTextIfPresent(join(dataDir, "node-id"))?.trim() || undefined;
}

/** Agent id kept in the data directory, undefined before the first join. */
export function storedAgentId(dataDir: string): string | undefined {
  return readTextIfPresent(join(dataDir, "agent-id"))?.trim() || undefined;
}

/** What a node's identity is made of. */
export interface IdentityRequest {
  readonly nodeId?: string;
  readonly nodeName?: string;
  readonly dataDir: string;
}

/**
 * Finds out who this host is; before the first join it has no agent id.
 *
 * @throws {KnetError} if an id is malformed, or if the host has no machine-id and none was given.
 */
export function findIdentity(
  options: IdentityRequest,
): Omit<NodeIdentity, "agentId"> & { readonly agentId: string | undefined } {
  let nodeId = options.nodeId ?? storedNodeId(options.dataDir);
  if (nodeId === undefined) {
    const machineId = readTextIfPresent("/etc/machine-id")?.trim();
    if (!machineId || machineId === "uninitialized") {
      throw new KnetError('Cannot make a node id: "/etc/machine-id" is missing or empty', {
        exitCode: 3,
        remedy: "Run systemd-machine-id-setup, or give --node-id",
      });
    }
    nodeId = nodeIdOfMachine(machineId);
  }
  checkNodeWord("node id", nodeId);
  const nodeName = checkNodeWord("node name", options.nodeName ?? Deno.hostname());
  return { nodeId, nodeName, bootId: bootId(), agentId: storedAgentId(options.dataDir) };
}

/**
 * Finds out who this host is, and writes down what it decides for the first time.
 *
 * @throws {KnetError} as {@linkcode findIdentity}.
 */
export function nodeIdentity(options: IdentityRequest): NodeIdentity {
  const { dataDir } = options;
  const found = findIdentity(options);
  const keep = (name: string, id: string) =>
    writeFileAtomically(join(dataDir, name), `${id}\n`, 0o600, 0o700);
  if (found.nodeId !== storedNodeId(dataDir)) keep("node-id", found.nodeId);
  if (found.agentId !== undefined) return { ...found, agentId: found.agentId };
  const agentId = randomId();
  keep("agent-id", agentId);
  return { ...found, agentId };
}
