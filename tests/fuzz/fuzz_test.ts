// The fuzzers, for as many runs as take about a second each; `deno task fuzz --seconds N` goes on for longer.
import fc from "fast-check";
import { TARGETS } from "./targets.ts";

for (const { name, about, runs, open } of TARGETS) {
  Deno.test(`Fuzzing ${name}: ${about}`, async () => {
    await using session = await open();
    await fc.assert(session.property as fc.IAsyncProperty<unknown>, { numRuns: runs });
  });
}
