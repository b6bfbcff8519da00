/**
 * `knet leave`: takes this host out of the cluster.
 *
 * @module
 */
import type { LeaveResult } from "../core/agent/leave.ts";
import type { LeavePlan } from "../core/agent/plan.ts";
import { defineCommand } from "./command.ts";
import { text } from "./value_checks.ts";
import { print, printJson } from "./output.ts";
import { DEFAULT_DATA_DIR, DEFAULT_STATE_DIR } from "./unit_settings.ts";
import { flag, value } from "./option_table.ts";
import { storeUrlOf } from "./store.ts";

/** The command. */
export const leave = defineCommand({
  name: "leave",
  summary: "Take this host out of the cluster",
  about: [
    "Stops the agent and its service for good, removes devices, routes, neighbours and firewall rules, and gives the lease back. With --node it gives back " +
    "another host's lease and touches nothing here; for a host that lives that needs --force.",
    "Where the hosts hold the store themselves, a host that left is let in by a new token only: its certificate is revoked.",
  ],
  words: [],
  options: {
    node: value("NAME", "Give back the lease of another host: its name, id or subnet", text, {
      complete: "lease",
    }),
    force: flag("Also if the lease is another living host's, or others are left without a store"),
    "dry-run": flag("Say what leaving would do, and do nothing"),
  },
  examples: [
    { line: "knet leave", about: "this host" },
    { line: "knet leave --dry-run", about: "what would be removed" },
    { line: "knet leave --node host-4", about: "a host that will not come back" },
  ],
  run: async ({ options, settings }) => {
    const request = {
      storeUrl: await storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      ...(options.node === undefined ? {} : { node: options.node }),
      force: options.force ?? false,
    };
    const ofService = options.node === undefined && settings.dataDir === DEFAULT_DATA_DIR &&
      settings.stateDir === DEFAULT_STATE_DIR;
    if (options["dry-run"]) {
      const { planLeave } = await import("../core/agent/plan.ts");
      const plan = await planLeave(request);
      if (settings.json) printJson({ dryRun: true, ...plan });
      else print(leavePlanText(plan, options.node));
      return;
    }
    const { leave } = await import("../core/agent/leave.ts");
    const { endService, forgetOwnStore, isActive } = await import("./service_unit.ts");
    // An agent that runs is needed until the end is near. One that is being started again and again is not.
    if (ofService && !await isActive()) await endService();
    const result = await leave({ ...request, ...(ofService && { endService }) });
    if (ofService) forgetOwnStore();
    if (settings.json) printJson(result);
    else print(leaveText(result, options.node));
  },
});

/** What was done, in words. */
export function leaveText(
  { released, devices, kept, certificate }: LeaveResult,
  node?: string,
): string {
  const lease = released === undefined
    ? "There was no lease to give back"
    : `Gave back the lease of ${released}`;
  const rights = certificate === undefined
    ? []
    : certificate.revoked
    ? ["Revoked its certificate: it comes back by a new token"]
    : [
      `Its certificate could not be revoked (${certificate.why}): run knet token revoke ${certificate.nodeId} on a host of the cluster`,
    ];
  if (node !== undefined) {
    const out = certificate?.revoked ? "; it takes no part in the store any more" : "";
    const held = released === undefined
      ? `${node} held no lease${out}`
      : `${lease}, held by ${node}`;
    return [held, ...rights].join("\n");
  }
  return [
    ...(devices.length === 0 ? [] : [`Removed ${devices.join(", ")}`]),
    lease,
    ...rights,
    ...(kept === undefined ? [] : [
      `This host held the last copy of the store, which stays in ${kept}: knet up goes on with it. ` +
      `For another cluster, remove it`,
    ]),
  ].join("\n");
}

/** What would be done, in words. */
export function leavePlanText(
  { agent, released, devices, containers }: LeavePlan,
  node?: string,
): string {
  const lease = released === undefined
    ? "There is no lease to give back"
    : `Would give back the lease of ${released}`;
  if (node !== undefined) {
    const plan = released === undefined
      ? `${node} holds no lease; it would take no part in the store any more`
      : `${lease}, held by ${node}`;
    return `${plan}\nNothing was changed`;
  }
  return [
    ...(agent ? ["Would stop the agent"] : []),
    ...(containers.length > 0 ? [`Would take the network from ${containers.join(", ")}`] : []),
    ...(devices.length > 0 ? [`Would remove ${devices.join(", ")}`] : []),
    lease,
    "Nothing was changed",
  ].join("\n");
}
