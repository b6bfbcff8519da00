/**
 * The cluster's configuration in the database: one row.
 *
 * @module
 */
import { gt } from "drizzle-orm";
import { CONFIG_SHAPE } from "../cluster/cluster_shapes.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import { asWritten, checkRow, jsonOf } from "./row_check.ts";
import { configTable } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

const SHAPE = jsonOf(asWritten(CONFIG_SHAPE));

/**
 * The configuration; undefined if there is none, or none above the revision `since`.
 *
 * @throws {KnetError} exit code 4 if it makes no sense. There is nothing to go on without it, and to write another would be worse.
 */
export async function readConfig(
  { db }: Pick<Transaction, "db">,
  since = -1,
): Promise<ClusterConfig | undefined> {
  const [row] = await db.select({ document: configTable.document }).from(configTable)
    .where(gt(configTable.revision, since));
  if (row === undefined) return undefined;
  const { value, problem } = checkRow(SHAPE, row.document, () => "cluster configuration");
  if (problem === undefined) return value;
  throw new KnetError(
    `Cannot use the cluster configuration in the store: ${problem.state}`,
    { exitCode: 4, remedy: "Install a newer knet on this host, or correct the row in knet_config" },
  );
}
