/**
 * Chaos: `deno task chaos [--hosts N] [--minutes M] [--seed S] [--store sqlite|postgres] [--rounds R]`.
 *
 * Hosts join and leave, agents are killed and frozen, the store goes away and is restored, the kernel's tables are damaged, addresses
 * change, links flap and lose. After each round it is calm, and then: no two hosts have one subnet, kernels are as the store says, no
 * container was renumbered, each reaches each, nothing is left of who left. What happens is decided by the seed; when, by the machine.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { Dice } from "./chaos/dice.ts";
import { DEEDS } from "./chaos/deeds.ts";
import { World } from "./chaos/world.ts";
import { setUp } from "./setup.ts";
import { type StoreKind, STORES } from "./support/lab.ts";
import { sleep } from "./support/wait.ts";

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task chaos [--hosts N] [--minutes M] [--seed S] [--store sqlite|postgres]`,
  );
  Deno.exit(2);
}

function choose(args: string[]) {
  const options = {
    hosts: { type: "string", default: "5" },
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() & 0x7fffffff) },
    store: { type: "string", default: "postgres" },
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
  if (!(STORES as readonly string[]).includes(values.store)) {
    usage(`--store is ${STORES.join(" or ")}`);
  }
  return { hosts, minutes, seed, store: values.store as StoreKind };
}

const { hosts, minutes, seed, store } = choose(Deno.args);
await setUp("test");
console.log(`seed ${seed}, ${hosts} hosts, ${store}, ${minutes} minutes`);
const dice = new Dice(seed);
const counts = new Map<string, number>();
const begin = performance.now();
const end = begin + minutes * 60_000;
let slowest = 0;
let failed = false;
await using world = await World.create(hosts, store);
try {
  while (performance.now() < end) {
    for (let left = dice.whole(2, 8); left > 0; left--) {
      const deed = dice.weighed(DEEDS.filter(({ fits }) => fits?.(world) ?? true));
      const said = await deed.run(world, dice);
      counts.set(deed.name, (counts.get(deed.name) ?? 0) + 1);
      console.log(`${((performance.now() - begin) / 1000).toFixed(1)} s: ${said}`);
      await sleep(dice.whole(0, 1500));
    }
    const milliseconds = await world.calm();
    slowest = Math.max(slowest, milliseconds);
    console.log(`calm after ${Math.round(milliseconds)} ms`);
  }
} catch (error) {
  failed = true;
  console.error(world.lab.logs(60));
  console.error(error);
}
const deeds = [...counts].sort().map(([name, count]) => `${name} ${count}`).join(", ");
console.log(
  `${failed ? "FAILED" : "ok"}: seed ${seed}, ${world.calms} calms, the slowest after ${
    Math.round(slowest)
  } ms; ${deeds}`,
);
if (failed) Deno.exitCode = 1;
