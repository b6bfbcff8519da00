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
import type { LeaseRequest, Store } from "../../core/store/store.ts";

/** A command for the driver. */
export type DriverCommand =
  | { readonly do: "acquire"; readonly node: string; readonly publicIp: string }
  | { readonly do: "release"; readonly node: string }
  | { readonly do: "renew"; readonly node: string; readonly publicIp: string }
  /** As many joiners as there are addresses, each with a connection of its own, all at the time `at`. */
  | { readonly do: "herd"; readonly prefix: string; readonly count: number; readonly at: number };

/** Its answer. */
export interface DriverAnswer {
  /** Milliseconds since the epoch after the commit. */
  readonly at: number;
  readonly subnets?: readonly string[];
  readonly errors?: readonly string[];
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
    case "herd":
      return await herd(url, command);
  }
}

async function herd(
  url: string,
  command: DriverCommand & { do: "herd" },
): Promise<DriverAnswer> {
  const { openStore } = await import("../../core/store/open.ts");
  const stores = Array.from({ length: command.count }, () => openStore(url));
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, command.at - Date.now())));
  const results = await Promise.allSettled(stores.map(async (open, i) => {
    const node = `${command.prefix}${i}`;
    const store = await open;
    const { lease } = await store.acquireLease(requestOf(node, publicIp(node)));
    return lease.subnet;
  }));
  const at = now();
  for (const open of stores) await (await open)[Symbol.asyncDispose]();
  const subnets = results.flatMap((r) => r.status === "fulfilled" ? [r.value] : []);
  const errors = results.flatMap((r) => r.status === "rejected" ? [String(r.reason)] : []);
  return { at, subnets, errors };
}

/** An address of 198.18.0.0/15 (RFC 2544) that goes with a name. */
function publicIp(node: string): string {
  const [a = 0, b = 0, c = 0] = createHash("sha256").update(node).digest();
  return `198.${18 + (a & 1)}.${b}.${c}`;
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
}
