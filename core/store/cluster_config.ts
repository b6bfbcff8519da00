/**
 * Setting up a cluster: its configuration is written once.
 *
 * @module
 */
import { type ClusterConfig, differences } from "../cluster/config.ts";
import { isUntaken } from "../cluster/allocate.ts";
import { KnetError } from "../base/error.ts";
import { readConfig } from "./config_row.ts";
import { ensureIdentity } from "./identity.ts";
import { liveLeases } from "./leases.ts";
import { raiseRevision } from "./revision.ts";
import { configTable } from "./schema.ts";
import { refuseNetworkOfServices } from "./services.ts";
import type { Transaction } from "./transaction.ts";

/**
 * The configuration.
 *
 * @throws {KnetError} exit code 4 if there is none.
 */
export async function needConfig(tx: Pick<Transaction, "db">): Promise<ClusterConfig> {
  const config = await readConfig(tx);
  if (config !== undefined) return config;
  throw new KnetError("Cannot lease a subnet: the store holds no cluster configuration", {
    exitCode: 4,
    remedy: "Run knet init, or knet join without --once on the first host",
  });
}

/** See `Store.initConfig`. */
export async function initConfig(
  tx: Transaction,
  config: ClusterConfig,
  { replace = false }: { readonly replace?: boolean } = {},
): Promise<ClusterConfig> {
  const present = await readConfig(tx);
  if (present !== undefined) {
    const found = differences(present, config);
    if (found.length === 0) return present;
    const conflict = (remedy: string) =>
      new KnetError(`Cannot set up the cluster: in the store, ${found.join("; ")}`, {
        exitCode: 4,
        remedy,
      });
    if (!replace) {
      throw conflict("Leave out what contradicts, or use --replace while no host has a lease");
    }
    const { leases, problems } = await liveLeases(tx);
    if (problems.length > 0 || leases.some((lease) => !isUntaken(lease))) {
      throw conflict("Hosts hold leases: run knet leave on each of them first");
    }
    await refuseNetworkOfServices(tx, config.network);
  }
  await ensureIdentity(tx);
  const row = { document: JSON.stringify(config), revision: await raiseRevision(tx) };
  await tx.db.insert(configTable).values({ id: 1, ...row })
    .onConflictDoUpdate({ target: configTable.id, set: row });
  return config;
}
