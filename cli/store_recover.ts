/**
 * `knet store recover`: the cluster's own store out of this host's copy.
 *
 * @module
 */
import type { StoreRecovery } from "../core/agent/recover_store.ts";
import type { PlannedHost } from "../core/agent/recovery_plan.ts";
import { defineCommand } from "./command.ts";
import { flag } from "./option_table.ts";
import { pairs, print, printJson } from "./output.ts";
import { storeUrlOf } from "./store.ts";

/** The command. */
export const recover = defineCommand({
  name: "store recover",
  summary: "Make this host's copy the store, where a majority of the copies is lost for good",
  about: [
    "For a store that the hosts hold themselves (dqlite:), on one host that has a copy of it, whose agent is stopped. All other members are " +
    "asked first: while a majority lives it is refused. Hosts with a copy that do not answer are dropped, and their certificates revoked: " +
    "should they come back, they are refused until they ran knet leave and join by a new token. Hosts that answer get a new copy by themselves.",
    "What the lost hosts had acknowledged and this copy lacks is lost. Of several hosts that are left take the one whose copy is the newest, " +
    "by term, then by index: --dry-run tells on each. What the copy was before is kept beside it.",
  ],
  words: [],
  options: {
    force: flag("Hosts that do not answer are lost for good"),
    "dry-run": flag("Say what would be done, and do nothing; the agent may run"),
  },
  examples: [
    {
      line: "knet store recover --dry-run",
      about: "how new this copy is, and who would be dropped",
    },
    { line: "knet store recover --force", about: "then start the agent: systemctl start knet" },
  ],
  run: async ({ options, settings }) => {
    const { recoverStore } = await import("../core/agent/recover_store.ts");
    const made = await recoverStore({
      storeUrl: await storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      force: options.force ?? false,
      dryRun: options["dry-run"] ?? false,
    });
    if (settings.json) printJson(recoveryDocument(made));
    else print(recoveryText(made));
  },
});

const ROLES = { voter: "votes", standby: "stands by", spare: "no copy" } as const;

/** What is printed as JSON. */
export function recoveryDocument(made: StoreRecovery) {
  const { store, state, role, log, before, refusal, nameOf } = made;
  const hosts = (list: readonly PlannedHost[]) =>
    list.map((host) => ({ node: host.nodeId, name: nameOf(host.nodeId), role: host.role }));
  return {
    ...{ store, state, role: role ?? null, log: log ?? null, before },
    ...{ dropped: hosts(made.dropped), kept: hosts(made.kept), away: hosts(made.away) },
    refused: state === "planned" ? refusal?.state ?? null : null,
  };
}

/** What was done, or would be, in words. */
export function recoveryText(made: StoreRecovery): string {
  const { store, state, role, log, before, refusal, dropped, kept, away, nodeId, nameOf } = made;
  const described = (list: readonly PlannedHost[]) =>
    list.length === 0
      ? undefined
      : list.map((host) => `${nameOf(host.nodeId)} (${ROLES[host.role]})`).join(", ");
  const facts = pairs([
    ["store", store],
    ["copy of", `${nameOf(nodeId)} (${role === undefined ? "no member" : ROLES[role]})`],
    ["its end", log && `term ${log.term}, index ${log.index}`],
    ["dropped", described(dropped) ?? "none"],
    ["get a new copy", described(kept)],
    ["come back by themselves", described(away)],
    ["refused", state === "planned" ? refusal?.state : undefined],
  ]);
  const last = {
    planned: refusal === undefined
      ? "Nothing was done. Stop the agent, systemctl stop knet, and run it with --force"
      : `Nothing was done. ${refusal.remedy}`,
    begun: "It was begun before and not finished: run knet store recover, which goes on with it",
    done:
      `The store is what this copy holds; what the copy was is in ${before}. Start the agent: systemctl start knet. A dropped host that comes back: knet leave there, then a new token`,
  }[state];
  return `${facts}\n${last}`;
}
