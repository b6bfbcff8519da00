/**
 * `knet leave`: takes this host out of the cluster.
 *
 * @module
 */
import { defineCommand } from "./command.ts";
import { text } from "./options.ts";
import { print, printJson } from "./output.ts";
import { flag, value } from "./parse.ts";

/** The command. */
export const leave = defineCommand({
  name: "leave",
  summary: "Take this host out of the cluster",
  about: [
    "Stops the agent, removes devices, routes, neighbours and firewall rules, and gives the lease back. With --node it gives back " +
    "another host's lease and touches nothing here; for a host that lives that needs --force.",
  ],
  words: [],
  options: {
    node: value("NAME", "Give back the lease of another host: its name, id or subnet", text),
    force: flag("Also when that host lives, or when the store cannot be reached"),
  },
  examples: [
    { line: "knet leave", about: "this host" },
    { line: "knet leave --node host-4", about: "a host that will not come back" },
  ],
  run: async ({ options, settings }) => {
    const { leave } = await import("../core/leave.ts");
    const outcome = await leave({
      storeUrl: settings.storeUrl,
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      ...(options.node === undefined ? {} : { node: options.node }),
      force: options.force ?? false,
    });
    if (settings.json) printJson(outcome);
    else print("Left the cluster");
  },
});
