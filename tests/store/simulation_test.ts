// Simulated clusters by seeds, shortly; `deno task sim` goes on for as long as one likes.
import { Simulation } from "../sim/simulation.ts";

/** Those by which something was found. */
const SEEDS = [1, 10, 15, 16, 31, 33, 92, 97];

Deno.test("Membership and store hold together through whatever befalls a cluster, by seeds", async () => {
  for (const seed of SEEDS) {
    const folder = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "knet-sim-" });
    try {
      await Simulation.run(seed, 200, folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
});

Deno.test("Membership holds together over the model of the store, by more seeds", async () => {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    for (let seed = 1; seed <= 40; seed++) await Simulation.run(seed, 200);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
});
