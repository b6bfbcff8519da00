/**
 * `knet detach`: disconnects a container's network namespace.
 *
 * @module
 */
import { defineCommand } from "./command.ts";
import { interfaceName } from "./value_checks.ts";
import { print, printJson } from "./output.ts";
import { value } from "./option_table.ts";

/** The command. */
export const detach = defineCommand({
  name: "detach",
  summary: "Disconnect a container's network namespace",
  about: [
    "Removes the interface and frees its address. A namespace that is gone already is no error.",
  ],
  words: [{
    name: "NETNS",
    help: "As it was attached: a name under /run/netns, a path, or a process id",
    complete: "netns",
  }],
  options: {
    ifname: value("NAME", "Name of the interface in the namespace", interfaceName, {
      fallback: "eth0",
    }),
  },
  examples: [{ line: "knet detach web", about: "undoes knet attach web" }],
  run: async ({ options, words, settings }) => {
    const { detach } = await import("../core/container/container.ts");
    const result = await detach({
      netns: words[0]!,
      ifname: options.ifname ?? "eth0",
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
    });
    if (settings.json) printJson(result);
    else print(`Detached ${result.ifname} of ${result.netns}`);
  },
});
