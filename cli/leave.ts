/**
 * `knet leave`: takes this host out of the cluster.
 *
 * @module
 */
import type { LeaveResult } from "../core/agent/leave.ts";
import { defineCommand } from "./command.ts";
import { text } from "./value_checks.ts";
import { print, printJson } from "./output.ts";
import { flag, value } from "./option_table.ts";
import { storeUrlOf } from "./store.ts";

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
    node: value("NAME", "Give back the lease of another host: its name, id or subnet", text, {
      complete: "lease",
    }),
    force: flag("Also if the lease is held by a host that lives"),
  },
  examples: [
    { line: "knet leave", about: "this host" },
    { line: "knet leave --node host-4", about: "a host that will not come back" },
  ],
  run: async ({ options, settings }) => {
    const { leave } = await import("../core/agent/leave.ts");
    const result = await leave({
      storeUrl: await storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      ...(options.node === undefined ? {} : { node: options.node }),
      force: options.force ?? false,
    });
    if (settings.json) printJson(result);
    else print(leaveText(result, options.node));
  },
});

/** What was done, in words. */
export function leaveText({ released, devices }: LeaveResult, node?: string): string {
  const lease = released === undefined
    ? "There was no lease to give back"
    : `Gave back the lease of ${released}`;
  if (node !== undefined) return `${lease}, held by ${node}`;
  return devices.length === 0 ? lease : `Removed ${devices.join(", ")}\n${lease}`;
}
