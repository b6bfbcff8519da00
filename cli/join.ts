/**
 * `knet join`: the agent.
 *
 * @module
 */
import type { AgentOptions } from "../core/agent/agent.ts";
import type { JoinPlan } from "../core/agent/plan.ts";
import { messageOf } from "../core/base/error.ts";
import { redactUrl } from "../core/base/secrets.ts";
import { clusterRequest } from "./cluster_request.ts";
import { defineCommand, type Invocation } from "./command.ts";
import { reportOf, UsageError } from "./errors.ts";
import { cliLogger } from "./log.ts";
import { clusterOptions, hostOptions } from "./shared_options.ts";
import { flag } from "./option_table.ts";
import type { Parsed } from "./option_table.ts";
import { pairs, print, printJson } from "./output.ts";
import type { Settings } from "./settings.ts";
import { chooseStore } from "./store.ts";

/**
 * Why the agent's signal was aborted: to go on at once with other options. The agent ends without telling
 * systemd that the service stops.
 */
const RELOAD = "reload";

const options = {
  ...hostOptions,
  once: flag("Program the kernel once and exit; nothing is kept up to date"),
  "dry-run": flag("Say what joining would do, or be refused by, and do nothing"),
  ...clusterOptions,
  "plain-routes": flag("Do without next-hop objects", { hidden: true }),
};

/** The command. */
export const join = defineCommand({
  name: "join",
  summary: "Make this host part of the cluster and keep it so (the agent)",
  about: [
    "Leases a subnet, makes the devices, programs a route to every other host, and stays to follow changes in the store and " +
    "in the kernel. SIGTERM stops it and leaves the network working; SIGHUP reads the configuration again; " +
    "knet leave takes everything down.",
    "The first host to join writes the cluster's configuration from the options below, if knet init did not. Options that " +
    "contradict what the store holds are refused, with both values shown.",
    "With a token, of knet token on another host, this host becomes part of that host's cluster first; once is enough.",
  ],
  words: [{ name: "TOKEN", help: "What lets this host into the cluster", optional: true }],
  options,
  examples: [
    { line: "knet join", about: "with the defaults, or what /etc/knet/knet.yaml says" },
    {
      line: "knet join --backend vxlan --iface eth1 --ip-masq",
      about: "tunnels over eth1; containers reach the outside under the host's address",
    },
    {
      line: "knet join --once --store sqlite:/mnt/shared/knet/knet.db",
      about: "for hosts where a timer, not a service, keeps the network",
    },
  ],
  run: async (first) => {
    if (first.options["dry-run"]) return await tellPlan(first);
    const { runAgent } = await import("../core/agent/agent.ts");
    const { runPatiently } = await import("../core/agent/patience.ts");
    const exitCodeOf = (error: unknown) => reportOf(error).exitCode;
    const [token] = first.words;
    const withToken = async ({ options, settings }: typeof first) =>
      token === undefined ? settings : await (await import("./by_token.ts")).joinedByToken(
        token,
        options,
        settings,
        "knet join",
      );
    let invocation = first;
    let round = new AbortController();
    let stopped = false;
    const onStop = () => {
      stopped = true;
      round.abort();
    };
    const onReload = async () => {
      try {
        invocation = await first.reread();
        round.abort(RELOAD);
      } catch (error) {
        // A running network is worth more than a new setting.
        cliLogger().error("Goes on as before: {message}", { message: messageOf(error) });
      }
    };
    const listeners = { SIGTERM: onStop, SIGINT: onStop, SIGHUP: onReload } as const;
    const names = Object.keys(listeners) as (keyof typeof listeners)[];
    for (const name of names) Deno.addSignalListener(name, listeners[name]);
    try {
      for (;;) {
        const { options, settings: { dataDir } } = invocation;
        const { signal } = round;
        await runPatiently(
          { dataDir, once: options.once ?? false, signal, exitCodeOf },
          async () => {
            const settings = await withToken(invocation);
            await runAgent(agentOptions(options, settings, await storeOf(settings), signal));
          },
        );
        if (stopped || round.signal.reason !== RELOAD) return;
        round = new AbortController();
        cliLogger().info("Read the configuration again");
      }
    } finally {
      for (const name of names) Deno.removeSignalListener(name, listeners[name]);
    }
  },
});

/** Says what would be done. */
async function tellPlan(
  { options: given, settings, words }: Invocation<typeof options>,
): Promise<void> {
  if (words.length > 0) {
    throw new UsageError(
      "Cannot tell what joining with a token would do: a token is used by joining",
      "knet join",
    );
  }
  const { planJoin } = await import("../core/agent/plan.ts");
  const never = new AbortController().signal;
  const plan = await planJoin(agentOptions(given, settings, await storeOf(settings), never));
  if (settings.json) printJson({ dryRun: true, ...plan });
  else print(joinPlanText(plan));
}

const HOW: Readonly<Record<JoinPlan["how"], string>> = {
  asked: "of a host that is asked first whether it lives",
  new: "the next that is free",
  kept: "this host's already",
  reserved: "reserved for it",
  reassigned: "of a lease that has expired, as all others are taken",
};

/** What joining would do, in words. */
export function joinPlanText(plan: JoinPlan): string {
  const { config, makes, keeps, peers } = plan;
  const { network, serviceNetwork, backend: { type } } = config;
  return pairs([
    ["Store", plan.store],
    ["Cluster", `${network} by ${type}, services in ${serviceNetwork}`],
    ["", plan.first ? "This host would write that, as the first one" : undefined],
    ["Node", `${plan.nodeName} (${plan.nodeId})`],
    ["Underlay", `${plan.publicIp} on ${plan.iface}, MTU ${plan.mtu} inside`],
    [
      "",
      plan.rival &&
      `${plan.rival} has that address: peers go on with this host's old one until it has another`,
    ],
    ["Subnet", `${plan.subnet} (${HOW[plan.how]}), gateway ${plan.gateway}`],
    ["Peers", `${peers}`],
    ["Would make", makes.join(", ")],
    ["Are there", keeps.join(", ")],
  ]) + "\nNothing was changed";
}

/** The store to join; the agent itself may move to another one, and what it leaves there is said. */
async function storeOf(settings: Settings): Promise<string> {
  const { url, agents } = await chooseStore(settings);
  if (agents !== undefined) {
    const stores = { now: redactUrl(url), before: redactUrl(agents) };
    cliLogger().warn(
      "Joins by the store {now}; it was {before}, where this host's lease stays until it is released",
      stores,
    );
  }
  return url;
}

/** What the agent is asked to do. */
function agentOptions(
  given: Parsed<typeof options>,
  settings: Settings,
  storeUrl: string,
  signal: AbortSignal,
): AgentOptions {
  return {
    storeUrl,
    stateDir: settings.stateDir,
    dataDir: settings.dataDir,
    ...(given.iface === undefined ? {} : { iface: given.iface }),
    ...(given["public-ip"] === undefined ? {} : { publicIp: given["public-ip"] }),
    ...(given.node === undefined ? {} : { nodeName: given.node }),
    ...(given["node-id"] === undefined ? {} : { nodeId: given["node-id"] }),
    ...(given.listen === undefined ? {} : { listen: given.listen }),
    bridge: given.bridge ?? "knet0",
    ipMasq: given["ip-masq"] ?? false,
    peersOnly: given["peers-only"] ?? true,
    strictArp: given["strict-arp"] ?? false,
    adopt: given.adopt ?? false,
    once: given.once ?? false,
    plainRoutes: given["plain-routes"] ?? false,
    config: clusterRequest(given, "knet join"),
    signal,
  };
}
