/**
 * The rivals: each programs the same peers into an empty field and says how many milliseconds that took.
 *
 * @module
 */
import { apply } from "../../core/kernel/apply.ts";
import { vxlan } from "../../core/overlay/backend/vxlan.ts";
import type { Lease } from "../../core/cluster/lease.ts";
import { plan } from "../../core/kernel/plan.ts";
import { KernelSockets } from "../../core/kernel/kind.ts";
import { KINDS } from "../../core/kernel/kinds/kinds.ts";
import { Tables } from "../../core/kernel/tables.ts";
import { Wishes } from "../../core/kernel/wishes.ts";
import type { Field } from "./field.ts";
import { iproute2Batches, limitBytes } from "./peers.ts";

/** One way to program. */
export interface Rival {
  readonly name: string;
  /** Whether it makes a next-hop object per peer. */
  readonly nexthops: boolean;
  readonly run: () => number;
}

/** What should be there for these peers, with the maps that the agent holds. */
export function wishesOf(field: Field, leases: readonly Lease[]): Wishes {
  const wishes = new Wishes();
  const { context, device } = field.overlay;
  for (const lease of leases) wishes.add(vxlan.peer(context!, device, lease).entries);
  return wishes;
}

/** knet's plan and send. */
export function knetRival(field: Field, leases: readonly Lease[]): Rival {
  const wishes = wishesOf(field, leases);
  const sockets = new KernelSockets(field.rtnl);
  return {
    name: "knet",
    nexthops: true,
    run: () => {
      const tables = new Tables();
      const start = performance.now();
      const operations = plan(wishes, tables, KINDS);
      const failures = apply(sockets, operations, tables);
      const took = performance.now() - start;
      if (failures.length > 0) throw failures[0]!.error;
      return took;
    },
  };
}

/** `ip -batch` and `bridge -batch`, one after the other, from exec to exit. */
export function iproute2Rival(
  field: Field,
  leases: readonly Lease[],
  folder: string,
  nexthops: boolean,
): Rival {
  const batches = iproute2Batches(leases, nexthops);
  const files = { ip: `${folder}/ip.batch`, bridge: `${folder}/bridge.batch` };
  return {
    name: nexthops ? "iproute2, next-hop objects" : "iproute2, plain routes",
    nexthops,
    run: () => {
      Deno.writeTextFileSync(files.ip, batches.ip);
      Deno.writeTextFileSync(files.bridge, batches.bridge);
      const start = performance.now();
      runSync("ip", ["-n", field.netns, "-batch", files.ip]);
      runSync("bridge", ["-n", field.netns, "-batch", files.bridge]);
      return performance.now() - start;
    },
  };
}

/** The C program, by its own clock. */
export function limitRival(
  field: Field,
  leases: readonly Lease[],
  folder: string,
  program: string,
): Rival {
  const file = `${folder}/limit.bytes`;
  const bytes = limitBytes(wishesOf(field, leases));
  return {
    name: "limit",
    nexthops: true,
    run: () => {
      Deno.writeFileSync(file, bytes);
      return Number(runSync("ip", ["netns", "exec", field.netns, program, file])) / 1e6;
    },
  };
}

/**
 * Builds limit.c.
 *
 * @returns the program, or why there is none.
 */
export function buildLimit(folder: string): { program: string } | { missing: string } {
  const program = `${folder}/limit`;
  const source = new URL("./limit.c", import.meta.url).pathname;
  try {
    runSync("gcc", ["-O2", "-Wall", "-Wextra", "-o", program, source]);
    return { program };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { missing: "gcc is not installed" };
    return { missing: `gcc failed: ${error instanceof Error ? error.message : error}` };
  }
}

function runSync(command: string, args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, { args }).outputSync();
  if (!success) throw new Error(`${command} ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
