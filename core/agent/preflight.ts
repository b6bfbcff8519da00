/**
 * What has to be so before an agent touches anything.
 *
 * @module
 */
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import { FileLock, holder } from "../../ffi/file_lock.ts";
import type { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { missingCapabilities } from "../../ffi/privilege.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { listRoutes } from "../../ffi/rtnl/route.ts";
import {
  type ClusterConfig,
  type ClusterRequest,
  differences,
  makeClusterConfig,
} from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import type { Family } from "../cluster/lease.ts";
import type { Store } from "../store/store.ts";
import { isOwnDevice, otherRoutes, routeWarning } from "../overlay/other_routes.ts";

const log = getLogger(["knet", "agent"]);

/**
 * Checks the privileges.
 *
 * @throws {KnetError} exit code 3 if the process may not program the network.
 */
export function refusePowerless(): void {
  const missing = missingCapabilities(["netAdmin"]);
  if (missing.length === 0) return;
  throw new KnetError(`Cannot join: the process lacks ${missing.join(", ")}`, {
    exitCode: 3,
    remedy: "Run it as root, or give it the capability",
  });
}

/**
 * Takes the lock that one agent of this host holds.
 *
 * @throws {KnetError} if another one runs.
 */
export function lockHost(stateDir: string): FileLock {
  const path = join(stateDir, "knet.lock");
  const lock = FileLock.acquire(path);
  if (lock !== undefined) return lock;
  throw new KnetError(
    `Cannot join: another agent runs on this host (process ${holder(path) ?? "unknown"})`,
    { remedy: "Stop it first; a network namespace has room for one" },
  );
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
  const found = differences(config, wanted);
  if (found.length > 0) {
    throw new KnetError(`Cannot join: in this cluster, ${found.join("; ")}`, {
      exitCode: 4,
      remedy: "Leave out the options that contradict the cluster, or use another store",
    });
  }
  return config;
}

/** Refuses what would take packets from the cluster, and warns of what only looks like it. */
function refuseOverlap(
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
