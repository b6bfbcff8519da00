/**
 * A thread that runs simulations: a task in, an outcome out.
 *
 * @module
 */
import { Simulation } from "./simulation.ts";

/** Which simulation is to be run. */
export interface Task {
  readonly seed: number;
  readonly steps: number;
  readonly hosts: number;
  /** Whether over the real store. */
  readonly isReal: boolean;
}

/** What came of it. */
export interface Outcome {
  readonly log: readonly string[];
  /** What was not as it has to be. */
  readonly failure?: string;
}

// What is refused again and again is an error each time, and a trace costs more than all that leads to it.
Error.stackTraceLimit = 0;

async function run({ seed, steps, hosts, isReal }: Task): Promise<Outcome> {
  const folder = isReal
    ? await Deno.makeTempDir({ dir: "/dev/shm", prefix: "knet-sim-" })
    : undefined;
  try {
    return { log: await Simulation.run(seed, steps, folder, hosts) };
  } catch (error) {
    return { log: [], failure: (error as Error).message };
  } finally {
    if (folder !== undefined) await Deno.remove(folder, { recursive: true });
  }
}

// A worker's scope, which the types of a window do not have.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Task>) => void;
  postMessage(outcome: Outcome): void;
};

scope.onmessage = async ({ data }) => scope.postMessage(await run(data));
