// Chaos for half a minute on each engine: `deno task chaos` does it for as long as one likes.
import { STORES } from "../support/lab.ts";
import { rootTest } from "../support/suite.ts";
import { report } from "../support/wait.ts";
import { runChaos } from "./run.ts";

for (const store of STORES) {
  rootTest(`A cluster on ${store} comes through half a minute of chaos`, async () => {
    const said: string[] = [];
    try {
      report(await runChaos({ hosts: 5, minutes: 0.5, seed: 7, store }, (line) => said.push(line)));
    } catch (error) {
      console.log(said.join("\n"));
      throw error;
    }
  });
}
