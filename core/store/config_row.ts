/**
 * The cluster's configuration in the database: one row.
 *
 * @module
 */
import { and, eq, ne } from "drizzle-orm";
import { KnetError } from "../base/error.ts";
import type { ClusterConfig } from "../cluster/config.ts";
import { configContradiction, configFault, type HeldSubnet } from "../cluster/config_fault.ts";
import { CONFIG_SHAPE } from "../cluster/cluster_shapes.ts";
import { asWritten, bounded, checkRow, isCount, jsonOf, type RowProblem } from "./row_check.ts";
import { configTable, leaseTable } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

const SHAPE = jsonOf(asWritten(CONFIG_SHAPE));

/** Characters of it that are read: more than any configuration has. */
const MOST_DOCUMENT = 16_384;
/** So many leases are looked at for whether they were given by it. */
const WITNESSES = 64;

const WHAT = "cluster configuration";

/** What the store holds of a configuration; neither: there is none, and nobody misses it. */
export type ConfigReading =
  | { readonly config: ClusterConfig; readonly revision: number; readonly problem?: undefined }
  | {
    readonly config?: undefined;
    readonly problem?: RowProblem;
    /** Whether there is a row. */
    readonly present: boolean;
  };

/** The configuration in the store makes no sense. */
export class UnusableConfigError extends KnetError {
  override readonly name = "UnusableConfigError";
  readonly problem: RowProblem;

  constructor(problem: RowProblem) {
    super(`Cannot use the ${WHAT} in the store: ${problem.state}`, {
      exitCode: 4,
      remedy:
        "Correct the row in knet_config, or write it anew with knet init --replace and the settings that the hosts have; if a newer knet wrote it, install that one here",
    });
    this.problem = problem;
  }
}

/** Leases that hosts have taken, or some of them. */
export async function heldSubnets({ db }: Pick<Transaction, "db">): Promise<HeldSubnet[]> {
  const rows = await db.select({
    subnet: bounded(leaseTable.subnet),
    nodeName: bounded(leaseTable.nodeName),
    backend: bounded(leaseTable.backend),
  }).from(leaseTable)
    .where(and(eq(leaseTable.deleted, 0), ne(leaseTable.agentId, "")))
    .limit(WITNESSES);
  return rows.map(({ subnet, nodeName, backend }) => ({
    subnet: `${subnet}`,
    nodeName: `${nodeName}`,
    backend: `${backend}` as HeldSubnet["backend"],
  }));
}

/** Reads the configuration and judges it. */
export async function readConfigRow(tx: Pick<Transaction, "db">): Promise<ConfigReading> {
  const wrong = (state: string, present = true): ConfigReading => ({
    problem: { what: WHAT, state },
    present,
  });
  const rows = await tx.db.select({
    document: bounded(configTable.document, MOST_DOCUMENT),
    revision: configTable.revision,
  }).from(configTable).limit(2);
  const held = await heldSubnets(tx);
  const [row] = rows;
  if (row === undefined) {
    return held.length === 0
      ? { present: false }
      : wrong("there is none, though hosts hold leases", false);
  }
  if (rows.length > 1) return wrong("there are two rows of it");
  if (!isCount(row.revision)) return wrong("its revision is no whole number");
  if (`${row.document}`.length > MOST_DOCUMENT) {
    return wrong(`it is longer than ${MOST_DOCUMENT} characters`);
  }
  const { value, problem } = checkRow(SHAPE, row.document, () => WHAT);
  if (problem !== undefined) return { problem, present: true };
  const state = configFault(value) ?? configContradiction(value, held);
  return state === undefined ? { config: value, revision: row.revision } : wrong(state);
}

/**
 * The configuration; undefined if there is none.
 *
 * @param lastGood What to go on with if that of the store makes no sense.
 * @throws {UnusableConfigError} exit code 4 if it makes no sense, and there is nothing to go on with. To write another would be worse.
 */
export async function readConfig(
  tx: Pick<Transaction, "db">,
  lastGood?: ClusterConfig,
): Promise<ClusterConfig | undefined> {
  const { config, problem } = await readConfigRow(tx);
  if (problem === undefined) return config;
  if (lastGood !== undefined) return lastGood;
  throw new UnusableConfigError(problem);
}

/** For reading what does not need it: the configuration if it makes sense, and a problem if it does not. */
export async function knownConfig(
  tx: Pick<Transaction, "db">,
): Promise<{ config: ClusterConfig | undefined; problems: RowProblem[] }> {
  const { config, problem } = await readConfigRow(tx);
  return { config, problems: problem === undefined ? [] : [problem] };
}
