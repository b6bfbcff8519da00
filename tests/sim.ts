/**
 * Simulated clusters by the thousand: `deno task sim [--seeds N] [--first S] [--steps K] [--hosts H] [--store model|sqlite] [--jobs J]`.
 *
 * The real membership and a model of the store, or the real one, with time, chance and failures by a seed: what fails comes again with
 * `deno task sim --first SEED --seeds 1`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { Outcome, Task } from "./sim/worker.ts";

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task sim [--seeds N] [--first S] [--steps K] [--hosts H] [--store model|sqlite] [--jobs J] [--verbose]`,
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
        store: { type: "string", default: "model" },
        jobs: { type: "string", default: `${navigator.hardwareConcurrency}` },
        verbose: { type: "boolean", default: false },
      },
    });
    const numbers = [values.seeds, values.first, values.steps, values.hosts, values.jobs].map(
      Number,
    );
    if (!numbers.every((number) => Number.isInteger(number) && number > 0)) {
      usage("Seeds, steps, hosts and jobs are whole numbers above 0");
    }
    const [seeds, first, steps, hosts, jobs] = numbers as [number, number, number, number, number];
    if (hosts < 3 || hosts > 15) usage("--hosts is 3 to 15");
    if (!["model", "sqlite"].includes(values.store)) usage("--store is model or sqlite");
    return {
      seeds,
      first,
      steps,
      hosts,
      jobs,
      isReal: values.store === "sqlite",
      verbose: values.verbose,
    };
  } catch (error) {
    usage((error as Error).message);
  }
}

const { seeds, first, steps, hosts, isReal, jobs, verbose } = choose(Deno.args);
const begin = performance.now();
let [next, failed] = [first, 0];

/** A thread that is given seeds until there are no more. */
function thread(): Promise<void> {
  const worker = new Worker(new URL("./sim/worker.ts", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    const give = () => {
      if (next < first + seeds) {
        return worker.postMessage({ seed: next++, steps, hosts, isReal } satisfies Task);
      }
      worker.terminate();
      resolve();
    };
    worker.onmessage = ({ data: { log, failure } }: MessageEvent<Outcome>) => {
      if (failure !== undefined) {
        failed++;
        console.error(failure);
      } else if (verbose) console.log(log.join("\n"));
      give();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      reject(new Error(event.message));
    };
    give();
  });
}

await Promise.all(Array.from({ length: Math.min(jobs, seeds) }, thread));
const seconds = (performance.now() - begin) / 1000;
const processor = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!.split(" ");
// utime and stime, in hundredths of a second (proc(5)).
const worked = (Number(processor[11]) + Number(processor[12])) / 100;
console.log(
  `${
    failed === 0 ? "ok" : "FAILED"
  }: ${seeds} seeds of ${steps} steps from ${first}, ${failed} failed, ${
    Math.round(seeds / seconds * 60)
  } a minute, ${Math.round(seeds / worked * 60)} a minute of one processor`,
);
if (failed > 0) Deno.exitCode = 1;
