/**
 * What has to be so before an agent touches anything.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import { FileLock, holder } from "../../ffi/file_lock.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { missingCapabilities } from "../../ffi/privilege.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import {
  type ClusterConfig,
  type ClusterRequest,
  differences,
  makeClusterConfig,
} from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import { planDevice } from "../kernel/devices.ts";
import { type Owner, refuseOthers } from "../kernel/owner.ts";
import type { Store } from "../store/store.ts";
import { isOwnDevice, otherRoutes, routeWarning } from "../overlay/other_routes.ts";

const log = getLogger(["knet", "agent"]);

/**
 * Checks the privileges.
 *
 * @throws {KnetError} exit code 3 if the process may not program the network.
 */
export function refusePowerless(action: "join" | "leave" = "join"): void {
  const missing = missingCapabilities(["netAdmin"]);
  if (missing.length === 0) return;
  throw new KnetError(`Cannot ${action}: the process lacks ${missing.join(", ")}`, {
    exitCode: 3,
    remedy: "Run it as root, or give it the capability",
  });
}

/** Where an agent keeps what it knows. */
export interface Directories {
  readonly stateDir: string;
  readonly dataDir: string;
}

/** The file that an agent locks in its state directory. */
export const stateLock = (stateDir: string) => join(stateDir, "knet.lock");
/** The file that an agent locks in its data directory. */
export const dataLock = (dataDir: string) => join(dataDir, "agent.lock");

/** Another agent holds a lock. */
function otherAgent(path: string, remedy: string): KnetError {
  const process = holder(path) ?? "unknown";
  return new KnetError(`Cannot join: another agent runs on this host (process ${process})`, {
    remedy,
  });
}

/** Whether somebody holds a lock. Its file is not made. */
export function isHeld(path: string): boolean {
  if (!existsSync(path)) return false;
  using lock = FileLock.acquire(path) ?? null;
  return lock === null;
}

/**
 * Refuses to speak of joining where an agent runs; nothing is made.
 *
 * @throws {KnetError} if one does.
 */
export function refuseRunning({ stateDir, dataDir }: Directories): void {
  for (const path of [stateLock(stateDir), dataLock(dataDir)]) {
    if (isHeld(path)) throw otherAgent(path, "It has joined: see knet status");
  }
}

/**
 * Takes the locks that one agent of this host holds: of its state directory, and of its data directory, which may be used with another
 * state directory by mistake.
 *
 * @param refusal What is thrown if another one runs, by the file that it holds.
 * @throws {KnetError} that.
 */
export function lockHost(
  { stateDir, dataDir }: Directories,
  refusal = (path: string) =>
    otherAgent(path, "Stop it first; a network namespace has room for one"),
): Disposable {
  using locks = new DisposableStack();
  for (const path of [stateLock(stateDir), dataLock(dataDir)]) {
    const lock = FileLock.acquire(path);
    if (lock === undefined) throw refusal(path);
    locks.use(lock);
  }
  return locks.move();
}

/**
 * Refuses to work where another knet has devices, or on a bridge that is none.
 *
 * @throws {KnetError} exit code 4, naming it, or 2.
 */
export function refuseOtherDevices(owner: Owner, bridge: string): void {
  using rtnl = openRtnl();
  const links = listLinks(rtnl);
  refuseOthers(links, owner);
  planDevice({ name: bridge, kind: "bridge", mtu: 0, addresses: [], owner }, links);
}

/** What {@linkcode loadConfig} looks at. */
export interface ConfigRequest {
  readonly wanted: ClusterRequest;
  readonly bridge: string;
  /** This host works with the cluster's network already: what overlaps it came later. */
  readonly known: boolean;
}

/**
 * The cluster's configuration; writes it if this is the first host.
 *
 * @throws {KnetError} exit code 4 if it is not what was asked for, 3 if a route of the host is equal to one of its networks or inside.
 */
export async function loadConfig(
  store: Store,
  rtnl: NetlinkSocket,
  family: Family,
  { wanted, bridge, known }: ConfigRequest,
): Promise<ClusterConfig> {
  let config = await store.getConfig();
  const checked = config ?? makeClusterConfig(wanted);
  if (!known) refuseOverlap(rtnl, family, checked, bridge);
  config ??= await store.initConfig(checked);
  refuseDifferences(config, wanted);
  return config;
}

/**
 * Refuses to join a cluster by options that contradict it.
 *
 * @throws {KnetError} exit code 4 with what differs.
 */
export function refuseDifferences(config: ClusterConfig, wanted: ClusterRequest): void {
  const found = differences(config, wanted);
  if (found.length > 0) {
    throw new KnetError(`Cannot join: in this cluster, ${found.join("; ")}`, {
      exitCode: 4,
      remedy: "Leave out the options that contradict the cluster, or use another store",
    });
  }
}

/**
 * Refuses what would take packets from the cluster, and warns of what only looks like it.
 *
 * @throws {KnetError} exit code 3 with the route.
 */
export function refuseOverlap(
  rtnl: NetlinkSocket,
  family: Family,
  config: ClusterConfig,
  bridge: string,
): void {
  const routes = listRoutes(rtnl, { family });
  const others = otherRoutes(
    routes,
    listLinks(rtnl),
    config,
    (device) => isOwnDevice(device, bridge),
  );
  for (const other of others) {
    if (!other.inTheWay) {
      log.warn("{warning}", { warning: routeWarning(other) });
      continue;
    }
    const { network, text } = other;
    const which = network === config.network
      ? ["cluster", "--network"]
      : ["service", "--service-network"];
    throw new KnetError(
      `Cannot join: the ${which[0]} network ${network} overlaps the route ${text}`,
      { exitCode: 3, remedy: `Choose another ${which[1]}, or remove the route` },
    );
  }
}
