/**
 * Setting up a cluster: its configuration is written once.
 *
 * @module
 */
import { ne } from "drizzle-orm";
import { type ClusterConfig, differences } from "../cluster/config.ts";
import { configContradiction } from "../cluster/config_fault.ts";
import { isUntaken } from "../cluster/allocate.ts";
import { KnetError } from "../base/error.ts";
import { heldSubnets, readConfig, readConfigRow, UnusableConfigError } from "./config_row.ts";
import { ensureIdentity } from "./identity.ts";
import { liveLeases } from "./leases.ts";
import { raiseRevision } from "./revision.ts";
import type { RowProblem } from "./row_check.ts";
import { configTable } from "./schema.ts";
import { refuseNetworkOfServices } from "./services.ts";
import type { Transaction } from "./transaction.ts";

/**
 * The configuration.
 *
 * @param lastGood What to go on with if that of the store makes no sense.
 * @throws {KnetError} exit code 4 if there is none.
 */
export async function needConfig(
  tx: Pick<Transaction, "db">,
  lastGood?: ClusterConfig,
): Promise<ClusterConfig> {
  return needsConfig(await readConfig(tx, lastGood));
}

/**
 * The configuration, which has to be there.
 *
 * @throws {KnetError} exit code 4 if there is none.
 */
export function needsConfig(config: ClusterConfig | undefined): ClusterConfig {
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
  const { config: present, problem } = await readConfigRow(tx);
  if (problem !== undefined) await refuseMend(tx, problem, config, replace);
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
    const { leases, problems } = await liveLeases(tx, present);
    if (problems.length > 0 || leases.some((lease) => !isUntaken(lease))) {
      throw conflict("Hosts hold leases: run knet leave on each of them first");
    }
    await refuseNetworkOfServices(tx, config.network);
  }
  await ensureIdentity(tx);
  const row = { document: JSON.stringify(config), revision: await raiseRevision(tx) };
  await tx.db.delete(configTable).where(ne(configTable.id, 1));
  await tx.db.insert(configTable).values({ id: 1, ...row })
    .onConflictDoUpdate({ target: configTable.id, set: row });
  return config;
}

/**
 * A configuration that makes no sense is written anew only when asked for, and only as the hosts have it.
 *
 * @throws {KnetError} exit code 4 if that is not so.
 */
async function refuseMend(
  tx: Transaction,
  problem: RowProblem,
  config: ClusterConfig,
  replace: boolean,
): Promise<void> {
  if (!replace) throw new UnusableConfigError(problem);
  const contradiction = configContradiction(config, await heldSubnets(tx));
  if (contradiction !== undefined) {
    throw new KnetError(`Cannot replace the cluster configuration in the store: ${contradiction}`, {
      exitCode: 4,
      remedy: "Give the settings that the hosts have (knet lease ls shows what they hold)",
    });
  }
  await refuseNetworkOfServices(tx, config.network);
}
