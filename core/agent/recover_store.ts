/**
 * `knet store recover`: the cluster's own store out of this host's copy, where a majority of the copies is lost for good. The agent does not
 * run meanwhile: the library cannot make a cluster of a node that runs, nor free one that never ran.
 *
 * @module
 */
import { holder } from "../../ffi/file_lock.ts";
import { wallClock } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { dial, DialError } from "../port/dial.ts";
import { Hosts } from "../port/hosts.ts";
import { readCredentials } from "../port/node_files.ts";
import { type Credentials, DEFAULT_PORT } from "../port/port.ts";
import {
  filesIn,
  nameOf,
  type NodeIdentity,
  readIdentity,
  readMembersFile,
} from "../store/dqlite/identity.ts";
import { logEnd, type LogPosition } from "../store/dqlite/log_end.ts";
import { recoverReplica } from "../store/dqlite/recover.ts";
import type { ByteStream } from "../store/dqlite/stream.ts";
import { redactUrl } from "../base/secrets.ts";
import { dqliteDirectory, NoStoreError } from "../store/location.ts";
import { readSnapshot } from "../store/snapshot.ts";
import { membersBy } from "./members_by_others.ts";
import { lockHost } from "./preflight.ts";
import {
  type HostWord,
  type PlannedHost,
  planRecovery,
  type RecoveryPlan,
} from "./recovery_plan.ts";

/** Milliseconds until the next address of a host is tried. */
const DIAL_PATIENCE = 2000;

/** What is asked for. */
export interface RecoverOptions {
  readonly storeUrl: string;
  readonly stateDir: string;
  readonly dataDir: string;
  /** The administrator says that hosts which do not answer are lost for good. */
  readonly force: boolean;
  /** Say what would be done, and do nothing. The agent may run. */
  readonly dryRun: boolean;
}

/** What was done, or would be. */
export interface StoreRecovery extends RecoveryPlan {
  /** What messages call the store. */
  readonly store: string;
  readonly nodeId: string;
  /** How far this host's copy is; undefined if there is nothing in it. */
  readonly log?: LogPosition;
  /** `done`: the next start of the agent ends it. `begun`: one that was begun before, which `knet store recover` goes on with. */
  readonly state: "planned" | "begun" | "done";
  /** Where the copy is as it was. */
  readonly before: string;
  /** A host's name, by its node id. */
  readonly nameOf: (nodeId: string) => string;
}

/**
 * Recovers the store from this host's copy.
 *
 * @throws {KnetError} exit code 4 if the store is none of the cluster's own, the agent runs, a majority lives, or hosts do not answer and
 * `force` does not say that they are lost; 3 if this user may not.
 */
export async function recoverStore(options: RecoverOptions): Promise<StoreRecovery> {
  const directory = dqliteDirectory(options.storeUrl);
  if (directory === undefined) {
    throw new KnetError(
      `Cannot recover the store ${
        redactUrl(options.storeUrl)
      }: it is a database of its own, no copy that hosts hold`,
      {
        exitCode: 4,
        remedy: "Recover the database by its own means; then see knet store restore and adopt",
      },
    );
  }
  const about = `Cannot recover the store dqlite:${directory}`;
  const identity = readOwn(directory, about);
  using _locks = options.dryRun ? null : lockAgent(options, about);
  const facts = await look(options, directory, identity);
  const plan = planRecovery(facts);
  const nameOfNode = namesIn(options.dataDir);
  const begun = identity.recovery?.stage;
  const { data, before } = filesIn(directory);
  const log = begun === undefined ? endOf(data, about) : undefined;
  const lost = identity.recovery?.dropped.map((nodeId): PlannedHost => ({
    nodeId,
    role: facts.members.find(({ address }) => nameOf(address) === nodeId)?.role ?? "voter",
  }));
  const found = {
    ...{
      ...plan,
      dropped: lost ?? plan.dropped,
      store: `dqlite:${directory}`,
      nodeId: nameOf(identity.address),
      before,
    },
    ...(log !== undefined && { log }),
    nameOf: nameOfNode,
  };
  if (begun === "accept") return { ...found, state: "done" };
  if (options.dryRun) return { ...found, state: begun === undefined ? "planned" : "begun" };
  if (begun === undefined) check(found, options, about);
  const dropped = begun === undefined
    ? plan.dropped.map(({ nodeId }) => nodeId)
    : identity.recovery!.dropped;
  recoverReplica({ directory, dropped, now: Math.floor(wallClock() / 1000) });
  return { ...found, state: "done" };
}

/** Refuses what must not be done, or was not said to be meant. */
function check(
  found: Omit<StoreRecovery, "state">,
  { force }: RecoverOptions,
  about: string,
): void {
  const { refusal, dropped, role, log } = found;
  if (refusal !== undefined) {
    throw new KnetError(`${about}: ${refusal.state}`, { exitCode: 4, remedy: refusal.remedy });
  }
  if (log === undefined) {
    throw new KnetError(`${about}: there is nothing in this host's copy`, {
      exitCode: 4,
      remedy: "Run it on another host, or restore a backup: knet store restore",
    });
  }
  if (force) return;
  const names = namesOf(dropped, found.nameOf);
  const one = dropped.length === 1;
  const behind = role === "standby"
    ? "This host only stood by, and may lack the last changes. "
    : "";
  throw new KnetError(
    `${about}: ${names} ${one ? "does" : "do"} not answer, and nobody here can tell whether ${
      one ? "it is" : "they are"
    } lost for good`,
    {
      exitCode: 4,
      remedy:
        `${behind}Where several hosts are left, take the one whose copy is the newest (knet store recover --dry-run tells on each). If ${names} will not come back, add --force: from then on a token lets ${
          one ? "it" : "them"
        } in as new, and nothing else`,
    },
  );
}

/** Hosts by name, the ones that voted first. */
export function namesOf(
  hosts: readonly PlannedHost[],
  name: (nodeId: string) => string,
): string {
  return hosts.map(({ nodeId }) => name(nodeId)).join(", ") || "none";
}

function readOwn(directory: string, about: string): NodeIdentity {
  let identity: NodeIdentity | undefined;
  try {
    identity = readIdentity(directory);
  } catch (error) {
    const { cause } = error as Error;
    if (!(cause instanceof Deno.errors.PermissionDenied)) throw error;
    throw new KnetError(`${about}: only root may read it`, {
      exitCode: 3,
      remedy: "Run it as root",
    });
  }
  if (identity === undefined) throw new NoStoreError(directory);
  return identity;
}

function endOf(data: string, about: string): LogPosition | undefined {
  try {
    return logEnd(data);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new KnetError(`${about}: ${messageOf(error)}`, { cause: error });
  }
}

function namesIn(dataDir: string): (nodeId: string) => string {
  const { own, peers = [] } = readSnapshot(dataDir, undefined, () => {}) ?? {};
  const leases = [...own === undefined ? [] : [own], ...peers];
  const names = new Map(leases.map((lease) => [lease.nodeId, lease.nodeName]));
  return (nodeId) => names.get(nodeId) ?? nodeId;
}

/** Keeps the agent from running meanwhile. */
function lockAgent(options: RecoverOptions, about: string): Disposable {
  try {
    for (const folder of [options.stateDir, options.dataDir]) {
      Deno.mkdirSync(folder, { recursive: true });
    }
    return lockHost(
      options,
      (path) =>
        new KnetError(`${about}: this host's agent runs (process ${holder(path) ?? "unknown"})`, {
          exitCode: 4,
          remedy: "Stop it first: systemctl stop knet",
        }),
    );
  } catch (error) {
    if (error instanceof KnetError) throw error;
    throw new KnetError(`${about}: ${messageOf(error)}`, {
      exitCode: 3,
      remedy: "Run it as root",
      cause: error,
    });
  }
}

/** Asks all other members what they know. */
async function look({ dataDir }: RecoverOptions, directory: string, identity: NodeIdentity) {
  const { address: own, generation = 0 } = identity;
  const members = readMembersFile(directory);
  const credentials = readCredentials(dataDir);
  const known = new Hosts(dataDir);
  const leases = readSnapshot(dataDir, undefined, () => {})?.peers ?? [];
  const ask = async (nodeId: string): Promise<HostWord> => {
    if (credentials === undefined) return { state: "silent", why: "this host has no certificate" };
    const host = known.get(nodeId);
    const addresses = new Set([
      ...host?.addresses ?? [],
      ...leases.filter((lease) => lease.nodeId === nodeId).map(({ publicIp }) => publicIp),
    ]);
    const endpoints = [...addresses].map((address) => ({
      address,
      port: host?.port ?? DEFAULT_PORT,
    }));
    return await wordOf(nodeId, endpoints, credentials);
  };
  const others = members.map(({ address }) => nameOf(address)).filter((id) => id !== nameOf(own));
  const words = new Map(
    await Promise.all(others.map(async (id) => [id, await ask(id)] as const)),
  );
  return { members, own, generation, words };
}

async function wordOf(
  nodeId: string,
  endpoints: readonly { readonly address: string; readonly port: number }[],
  credentials: Credentials,
): Promise<HostWord> {
  let why = "it is not known where it is";
  let lives = false;
  for (const endpoint of endpoints) {
    try {
      const way = {
        location: "of the cluster",
        dial: async (): Promise<ByteStream> => {
          const stream = await dial({
            ...{ ...endpoint, purpose: "store", nodeId, credentials, patience: DIAL_PATIENCE },
          });
          lives = true;
          return stream;
        },
      };
      return { state: "answers", says: await membersBy(way, nodeId) };
    } catch (error) {
      why = messageOf(error);
      if (error instanceof DialError && error.reason === "refused") {
        return { state: "refuses", why };
      }
    }
  }
  return { state: lives ? "lives" : "silent", why };
}
