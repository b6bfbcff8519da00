/**
 * Simulated clusters by the thousand: `deno task sim [--seeds N] [--first S] [--steps K] [--hosts H]`.
 *
 * The real membership and the real store, with time, chance and failures by a seed: what fails comes again with
 * `deno task sim --first SEED --seeds 1`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { Simulation } from "./sim/simulation.ts";

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task sim [--seeds N] [--first S] [--steps K] [--hosts H] [--verbose]`,
  );
  Deno.exit(2);
}

function choose(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seeds: { type: "string", default: "100" },
        first: { type: "string", default: "1" },
        steps: { type: "string", default: "200" },
        hosts: { type: "string", default: "6" },
        verbose: { type: "boolean", default: false },
      },
    });
    const numbers = [values.seeds, values.first, values.steps, values.hosts].map(Number);
    if (!numbers.every((number) => Number.isInteger(number) && number > 0)) {
      usage("Seeds, steps and hosts are whole numbers above 0");
    }
    const [seeds, first, steps, hosts] = numbers as [number, number, number, number];
    if (hosts < 3 || hosts > 15) usage("--hosts is 3 to 15");
    return { seeds, first, steps, hosts, verbose: values.verbose };
  } catch (error) {
    usage((error as Error).message);
  }
}

const { seeds, first, steps, hosts, verbose } = choose(Deno.args);
const begin = performance.now();
let failed = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const folder = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "knet-sim-" });
  try {
    const log = await Simulation.run(seed, steps, folder, hosts);
    if (verbose) console.log(log.join("\n"));
  } catch (error) {
    failed++;
    console.error((error as Error).message);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
const seconds = (performance.now() - begin) / 1000;
console.log(
  `${
    failed === 0 ? "ok" : "FAILED"
  }: ${seeds} seeds of ${steps} steps from ${first}, ${failed} failed, ${
    Math.round(seeds / seconds * 60)
  } a minute`,
);
if (failed > 0) Deno.exitCode = 1;
