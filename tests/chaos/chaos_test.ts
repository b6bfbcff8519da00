// Chaos for more than a minute in all: `deno task chaos` does it for as long as one likes.
import { STORE_KINDS } from "../support/lab.ts";
import { rootTest } from "../support/suite.ts";
import { report } from "../support/wait.ts";
import { runChaos } from "./run.ts";

for (const store of STORE_KINDS) {
  rootTest(`A cluster on ${store} comes through chaos`, async () => {
    const said: string[] = [];
    try {
      report(
        await runChaos({ hosts: 5, minutes: 0.4, seed: 7, store }, (line) => said.push(line)),
      );
    } catch (error) {
      console.log(said.join("\n"));
      throw error;
    }
  });
}
