/**
 * A program of its own that talks to the store as an agent does, without a kernel: for many joiners at
 * once, and to know the moment of a commit.
 *
 * It reads one JSON command a line from standard input and prints one JSON answer a line.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import process from "node:process";
import type { Engine } from "../../core/store/engine.ts";
import type { LeaseRequest, Store } from "../../core/store/store.ts";

/** A command for the driver. */
export type DriverCommand =
  | { readonly do: "acquire"; readonly node: string; readonly publicIp: string }
  | { readonly do: "release"; readonly node: string }
  /** Leases as if hosts had joined one after the other, in one transaction. */
  | { readonly do: "fill"; readonly hosts: readonly FilledHost[] }
  | { readonly do: "renew"; readonly node: string; readonly publicIp: string }
  /** As many joiners as there are addresses, each with a connection of its own, all at the time `at`. */
  | { readonly do: "herd"; readonly prefix: string; readonly count: number; readonly at: number };

/** A host that is in the store without having joined. */
export interface FilledHost {
  readonly node: string;
  readonly publicIp: string;
  readonly subnet: string;
}

/** Its answer. */
export interface DriverAnswer {
  /** Milliseconds since the epoch after the commit. */
  readonly at: number;
  readonly subnets?: readonly string[];
  readonly errors?: readonly string[];
  /** How often all joiners together found the store away and asked again. */
  readonly retries?: number;
}

/** A lease request as an agent of that name would make it. */
export function requestOf(node: string, publicIp: string): LeaseRequest {
  const digest = (attempt: number) =>
    createHash("sha256").update(`${node} ${attempt}`).digest("hex");
  return {
    nodeId: node,
    family: 4,
    nodeName: node,
    publicIp,
    backend: "vxlan",
    bootId: `boot-${node}`,
    agentId: `agent-${node}`,
    backendData: (attempt) => ({
      vni: 1,
      mac: ["02", ...digest(attempt).slice(0, 10).match(/../g)!].join(":"),
    }),
  };
}

const now = () => performance.timeOrigin + performance.now();

async function obey(store: Store, url: string, command: DriverCommand): Promise<DriverAnswer> {
  switch (command.do) {
    case "acquire": {
      const { lease } = await store.acquireLease(requestOf(command.node, command.publicIp));
      return { at: now(), subnets: [lease.subnet] };
    }
    case "renew": {
      const request = requestOf(command.node, command.publicIp);
      const { leases } = await store.listLeases();
      const subnet = leases.find((lease) => lease.nodeId === command.node)?.subnet ?? "";
      await store.renewLease({ ...request, subnet, backendData: request.backendData(0) });
      return { at: now() };
    }
    case "release":
      await store.releaseLease(command.node, { force: true });
      return { at: now() };
    case "fill":
      await fill(url, command.hosts);
      return { at: now(), subnets: command.hosts.map(({ subnet }) => subnet) };
    case "herd":
      return await herd(url, command);
  }
}

/** What fills the store, from the first time on. */
let filling: Promise<Engine> | undefined;

async function fill(url: string, hosts: readonly FilledHost[]): Promise<void> {
  const { openEngine } = await import("../../core/store/open.ts");
  const { writeTo } = await import("../../core/store/transaction.ts");
  const { insertMany } = await import("../../core/store/bulk.ts");
  const { rowOfLease } = await import("../../core/store/lease_rows.ts");
  const { raiseRevision } = await import("../../core/store/revision.ts");
  const { leaseTable } = await import("../../core/store/schema.ts");
  const engine = await (filling ??= openEngine(url, { deadlineMs: 60_000 }));
  await writeTo(engine, async (tx) => {
    const revision = await raiseRevision(tx);
    const [acquired, renewed, expires] = [tx.now, tx.now, tx.now + 86_400_000];
    const rows = hosts.map(({ node, publicIp, subnet }) => {
      const { backendData, ...request } = requestOf(node, publicIp);
      const lease = { ...request, subnet, acquired, renewed, expires, reserved: false, revision };
      return rowOfLease({ ...lease, backendData: backendData(0) }) as Required<
        ReturnType<typeof rowOfLease>
      >;
    });
    await insertMany(tx, leaseTable, rows, (part) => tx.db.insert(leaseTable).values(part));
  });
}

async function herd(
  url: string,
  command: DriverCommand & { do: "herd" },
): Promise<DriverAnswer> {
  const { openStore } = await import("../../core/store/open.ts");
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, command.at - Date.now())));
  const results = await Promise.allSettled(
    Array.from({ length: command.count }, async (_, i) => {
      await using store = await openStore(url);
      return await joinAsAgents(store, `${command.prefix}${i}`);
    }),
  );
  const at = now();
  const subnets = results.flatMap((r) => r.status === "fulfilled" ? [r.value.subnet] : []);
  const errors = results.flatMap((r) => r.status === "rejected" ? [String(r.reason)] : []);
  const retries = results.reduce((n, r) => n + (r.status === "fulfilled" ? r.value.retries : 0), 0);
  return { at, subnets, errors, retries };
}

/** Asks until the store is there, waiting between as agents wait. */
async function joinAsAgents(
  store: Store,
  node: string,
): Promise<{ subnet: string; retries: number }> {
  const { StoreAwayError } = await import("../../core/base/error.ts");
  const { backoff } = await import("../../core/agent/wake.ts");
  for (let retries = 0;; retries++) {
    try {
      const { lease } = await store.acquireLease(requestOf(node, addressOfNode(node)));
      return { subnet: lease.subnet, retries };
    } catch (error) {
      if (!(error instanceof StoreAwayError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, backoff(retries, 2000)));
    }
  }
}

/** An address that goes with a name, and hardly ever with two of some hundred; nothing is sent there. */
export function addressOfNode(node: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = createHash("sha256").update(node).digest();
  return `${11 + a % 100}.${b}.${c}.${d}`;
}

if (import.meta.main) {
  const { openStore } = await import("../../core/store/open.ts");
  const url = Deno.args[0] ?? "";
  const store = await openStore(url);
  console.log(JSON.stringify({ at: now() }));
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      console.log(JSON.stringify(await obey(store, url, JSON.parse(line) as DriverCommand)));
    } catch (error) {
      console.log(JSON.stringify({ at: now(), errors: [String(error)] }));
    }
  }
  await store[Symbol.asyncDispose]();
  await (await filling)?.close();
}
