/**
 * Containers as rows of `knet_containers`: each host writes its own, and reads those of all.
 *
 * They are no part of what a store is known by (row_marks.ts), and no revision counts them: each is its host's word, which it says again
 * where it is missing, and nothing in anybody's kernel hangs on it.
 *
 * @module
 */
import { and, asc, count as countOf, eq, inArray, notInArray } from "drizzle-orm";
import * as v from "valibot";
import { KnetError } from "../base/error.ts";
import { visibleName } from "../base/visible.ts";
import {
  type ClusterContainer,
  containerTitle,
  fittingContainer,
  MOST_CONTAINERS_A_HOST,
  MOST_JSON,
  MOST_TEXT,
  type StoredContainer,
  whyNoContainer,
} from "../cluster/cluster_container.ts";
import type { Lease } from "../cluster/lease.ts";
import { inParts, insertMany, readMany } from "./bulk.ts";
import {
  addProblem,
  addressText,
  bounded,
  type Checked,
  checkRow,
  jsonOf,
  portNumber,
  type RowProblem,
  withinLimit,
} from "./row_check.ts";
import { containerTable, leaseTable } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** So many containers are read at most. */
const MOST_CONTAINERS = 65_536;

type ContainerRow = typeof containerTable.$inferSelect;

const COLUMNS = {
  nodeId: bounded(containerTable.nodeId),
  key: bounded(containerTable.key),
  name: bounded(containerTable.name),
  address: bounded(containerTable.address),
  ifname: bounded(containerTable.ifname),
  netns: bounded(containerTable.netns),
  runtime: bounded(containerTable.runtime),
  containerId: bounded(containerTable.containerId),
  labels: bounded(containerTable.labels, MOST_JSON),
  ports: bounded(containerTable.ports, MOST_JSON),
} satisfies Record<keyof ContainerRow, unknown>;

const word = v.pipe(v.string(), v.maxLength(MOST_TEXT, "it is too long"));

const SHAPE = v.object({
  nodeId: word,
  key: word,
  name: word,
  address: addressText,
  ifname: word,
  netns: word,
  runtime: word,
  containerId: word,
  labels: jsonOf(v.record(v.string(), v.string())),
  ports: jsonOf(v.array(v.object({
    hostPort: portNumber,
    containerPort: portNumber,
    protocol: v.picklist(["tcp", "udp", "sctp"]),
    hostIp: v.exactOptional(addressText),
  }))),
});

function rowName({ name, netns, address }: ContainerRow): string {
  const title = containerTitle({ name: `${name}`, netns: `${netns}`, address: `${address}` });
  return `container "${visibleName(title)}"`;
}

function judge(row: ContainerRow, subnets: readonly string[]): Checked<ClusterContainer> {
  const checked = checkRow(SHAPE, row, rowName);
  if (checked.problem !== undefined) return checked;
  const state = whyNoContainer(checked.value, subnets);
  return state === undefined ? checked : { problem: { what: rowName(row), state } };
}

/** Which containers are asked for; all that is given has to fit. */
export interface ContainerSelector {
  readonly nodeId?: string;
  readonly name?: string;
  readonly address?: string;
}

/** Containers, and rows that make no sense. */
export interface ContainerList {
  readonly containers: StoredContainer[];
  readonly problems: RowProblem[];
  /** Keys of the rows that make no sense, for their host to take them away. */
  readonly leftOut: string[];
}

/**
 * Containers in the order of hosts. What a host said that has no lease any more is not told.
 *
 * @param leases Those that hold.
 */
export async function listContainers(
  tx: Transaction,
  leases: readonly Lease[],
  selector: ContainerSelector = {},
): Promise<ContainerList> {
  const wanted = (["nodeId", "name", "address"] as const).flatMap((field) => {
    const value = selector[field];
    return value === undefined ? [] : [eq(containerTable[field], value)];
  });
  const select = tx.db.select(COLUMNS).from(containerTable).where(and(...wanted))
    .orderBy(asc(containerTable.nodeId), asc(containerTable.key))
    .limit(MOST_CONTAINERS + 1);
  const rows = await readMany(tx, COLUMNS, select) as ContainerRow[];
  const list: ContainerList = { containers: [], problems: [], leftOut: [] };
  withinLimit(rows, MOST_CONTAINERS, "containers", list.problems);
  const byHost = Map.groupBy(leases, ({ nodeId }) => nodeId);
  for (const row of rows) {
    const own = byHost.get(row.nodeId);
    if (own === undefined) continue;
    const { value, problem } = judge(row, own.map(({ subnet }) => subnet));
    if (problem === undefined) list.containers.push({ ...value, nodeName: own[0]!.nodeName });
    else {
      addProblem(list.problems, () => problem);
      // What somebody wrote there by hand may be no text.
      if (typeof row.key === "string") list.leftOut.push(row.key);
    }
  }
  return list;
}

/** What a host says of its containers. */
export interface ContainerChange {
  readonly nodeId: string;
  /** Of the agent that says it: only the holder of the host's lease may. */
  readonly agentId: string;
  /** Those that came or are another way now. */
  readonly put: readonly ClusterContainer[];
  /** Keys of those that went; whether they are there is no matter. */
  readonly remove: readonly string[];
}

function refusal(state: string): KnetError {
  return new KnetError(`Cannot tell the store of this host's containers: ${state}`, {
    exitCode: 4,
    remedy: "See what this host's agent says: knet status",
  });
}

/** See `Store.putContainers`. */
export async function putContainers(tx: Transaction, change: ContainerChange): Promise<void> {
  const { db } = tx;
  const { nodeId, agentId, remove } = change;
  // Of one that is said twice, the last word.
  const put = [...new Map(change.put.map((one) => [one.key, { ...one, nodeId }])).values()];
  const own = await db.select({ subnet: leaseTable.subnet }).from(leaseTable).where(
    and(eq(leaseTable.nodeId, nodeId), eq(leaseTable.agentId, agentId), eq(leaseTable.deleted, 0)),
  );
  if (own.length === 0) throw refusal("it holds no lease");
  const rows = put.map(rowOf);
  for (const row of rows) {
    const { problem } = judge(row, own.map(({ subnet }) => subnet));
    if (problem !== undefined) throw refusal(`${problem.what}: ${problem.state}`);
  }
  await inParts([...remove, ...put.map(({ key }) => key)], async (part) => {
    await db.delete(containerTable)
      .where(and(eq(containerTable.nodeId, nodeId), inArray(containerTable.key, part)));
    return [];
  });
  const [present] = await db.select({ rows: countOf() }).from(containerTable)
    .where(eq(containerTable.nodeId, nodeId));
  if (Number(present?.rows) + put.length > MOST_CONTAINERS_A_HOST) {
    throw refusal(`it has more than ${MOST_CONTAINERS_A_HOST}`);
  }
  await insertMany(tx, containerTable, rows, (part) => db.insert(containerTable).values(part));
}

/** Deletes what hosts said that have no lease any more, those also that an older knet took theirs. */
export async function dropContainers({ db }: Pick<Transaction, "db">): Promise<void> {
  const holders = db.select({ nodeId: leaseTable.nodeId }).from(leaseTable)
    .where(eq(leaseTable.deleted, 0));
  await db.delete(containerTable).where(notInArray(containerTable.nodeId, holders));
}

/** A container's row. What there is no room for is not written. */
function rowOf(container: ClusterContainer): ContainerRow {
  const { labels, ports, ...rest } = fittingContainer(container);
  return { ...rest, labels: JSON.stringify(labels), ports: JSON.stringify(ports) };
}
