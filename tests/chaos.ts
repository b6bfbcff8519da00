/**
 * Chaos: `deno task chaos [--hosts N] [--minutes M] [--seed S] [--store sqlite|postgres|dqlite] [--links]`.
 *
 * Hosts join and leave, agents are killed and frozen, the store goes away and is restored, the kernel's tables are damaged, addresses
 * change, links flap and lose; with `--links` they delay, reorder, duplicate and stall as well. After each round it is calm, and then: no two hosts have one subnet, kernels are as the store says, no
 * container was renumbered, each reaches each, nothing is left of who left. What happens is decided by the seed; when, by the machine.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { runChaos } from "./chaos/run.ts";
import { setUp } from "./setup.ts";
import { STORE_KINDS } from "./support/lab.ts";

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task chaos [--hosts N] [--minutes M] [--seed S] [--store sqlite|postgres|dqlite] [--links]`,
  );
  Deno.exit(2);
}

function choose(args: string[]) {
  const options = {
    hosts: { type: "string", default: "5" },
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() & 0x7fffffff) },
    store: { type: "string", default: "postgres" },
    links: { type: "boolean", default: false },
  } as const;
  let values;
  try {
    ({ values } = parseArgs({ args, options }));
  } catch (error) {
    usage((error as Error).message);
  }
  const [hosts, minutes, seed] = [values.hosts, values.minutes, values.seed].map(Number) as [
    number,
    number,
    number,
  ];
  if (!Number.isInteger(hosts) || hosts < 3 || hosts > 40) usage("--hosts is 3 to 40");
  if (!(minutes > 0)) usage("--minutes needs a number above 0");
  if (!Number.isInteger(seed)) usage("--seed needs a whole number");
  const store = STORE_KINDS.find((kind) => kind === values.store);
  if (store === undefined) usage(`--store is ${STORE_KINDS.join(" or ")}`);
  return { hosts, minutes, seed, store, links: values.links };
}

const chosen = choose(Deno.args);
await setUp("test");
console.log(
  `seed ${chosen.seed}, ${chosen.hosts} hosts, ${chosen.store}, ${chosen.minutes} minutes`,
);
try {
  console.log(`ok: ${await runChaos(chosen, console.log)}`);
} catch (error) {
  console.error(error);
  console.log(`FAILED: seed ${chosen.seed}`);
  Deno.exitCode = 1;
}
