/**
 * `knet store reach`: where hosts of the cluster are, said by hand.
 *
 * @module
 */
import { UsageError } from "./errors.ts";
import { defineCommand } from "./command.ts";
import { print, printJson, table } from "./output.ts";

const CONTEXT = "knet store reach";

/** The command. */
export const reach = defineCommand({
  name: "store reach",
  hardlyLogs: true,
  summary: "Tell the agent where other hosts are now",
  about: [
    "For hosts that hold the store themselves and have got other addresses while they did not see each other. On one network segment they find each other " +
    "without it. Who is at an address has to prove that it is of the cluster, and is then told where this host and the others are; one host that knows where the " +
    "others are is enough. The exit status is 1 if no host of the cluster is at one of them.",
  ],
  words: [{
    name: "ADDRESS",
    help: "Where hosts may be, with commas between: ADDRESS or ADDRESS:PORT each",
  }],
  options: {},
  examples: [{
    line: "knet store reach 10.9.0.12,10.9.0.13",
    about: "on one host, after all have moved to another network",
  }],
  run: async ({ words, settings }) => {
    const { askReach, readReachAddress } = await import("../core/agent/reach.ts");
    const addresses = words[0]!.split(",").map((word) => {
      try {
        return readReachAddress(word.trim());
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        throw new UsageError(`Cannot run "${CONTEXT}": ${error.message}`, CONTEXT);
      }
    });
    const found = await askReach(settings.stateDir, addresses);
    if (settings.json) printJson({ found });
    else {
      print(table(
        ["ADDRESS", "HOST", ""],
        found.map(({ address, node, name, problem }) => [
          address,
          name ?? node ?? "-",
          problem ?? "found, and told where the others are",
        ]),
      ));
    }
    return found.every(({ node }) => node !== undefined) ? 0 : 1;
  },
});
