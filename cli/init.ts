/**
 * `knet init`: writes the cluster's configuration to the store.
 *
 * @module
 */
import type { ClusterConfig, ClusterRequest } from "../core/cluster/config.ts";
import { clusterRequest } from "./cluster_request.ts";
import { defineCommand } from "./command.ts";
import { KnetError } from "../core/base/error.ts";
import { UsageError, whyUnreadable } from "./errors.ts";
import { logWarnings } from "./log.ts";
import { dqliteDirectory } from "../core/store/location.ts";
import type { Store } from "../core/store/store.ts";
import type { Settings } from "./settings.ts";
import { asAgentSees, patiently, storeUrlOf } from "./store.ts";
import { clusterOptions } from "./shared_options.ts";
import { text } from "./value_checks.ts";
import { pairs, print, printJson } from "./output.ts";
import { flag, value } from "./option_table.ts";

const CONTEXT = "knet init";

/** The command. */
export const init = defineCommand({
  name: "init",
  summary: "Write the cluster's configuration to the store",
  about: [
    "Needs only the store: no root, and no host of the cluster. The same configuration may be written again; " +
    "another one is refused, with both shown.",
  ],
  words: [],
  options: {
    ...clusterOptions,
    "from-flannel": value("FILE", "Take the configuration from flannel's net-conf.json", text, {
      complete: "file",
    }),
    replace: flag(
      "Replace the stored configuration, as long as no host has a lease; where the hosts hold the store, on the one that left last",
    ),
  },
  examples: [
    {
      line: "knet init --network 10.244.0.0/16",
      about: "VXLAN, a /24 for each of up to 256 hosts, in the default SQLite file",
    },
    {
      line: "knet init --network 172.26.0.0/16 --store postgres://knet@db.internal/knet",
      about: "the same in Postgres",
    },
    {
      line: "knet init --backend host-gw",
      about: "no tunnel: plain routes between hosts on one link",
    },
    {
      line: "knet init --from-flannel net-conf.json",
      about: "as flannel is configured",
    },
  ],
  run: async ({ options, settings }) => {
    const request = clusterRequest(options, CONTEXT);
    const flannel = options["from-flannel"];
    const config = flannel === undefined
      ? await fromOptions(request)
      : await fromFlannel(flannel, request);
    await using opened = await openFor(options.replace ?? false, settings);
    const store = await patiently(await asAgentSees(settings, opened));
    // What makes no sense can be replaced, too.
    const before = await store.getConfig().catch((error) => {
      if (error instanceof KnetError && error.exitCode === 4 && options.replace) return null;
      throw error;
    });
    const stored = await store.initConfig(config, { replace: options.replace ?? false });
    const outcome = before === undefined
      ? "created"
      : JSON.stringify(before) === JSON.stringify(stored)
      ? "unchanged"
      : "replaced";
    if (settings.json) printJson({ outcome, store: store.location, config: stored });
    else print(`${describe(stored, store.location, outcome)}\n\nNext, on every host: knet join`);
  },
});

/** Where the hosts hold the store, its last one holds it for a command as well: nothing is replaced before it has left. */
async function openFor(replace: boolean, settings: Settings): Promise<Store> {
  const { stateDir, dataDir } = settings;
  const storeUrl = await storeUrlOf(settings);
  if (replace && dqliteDirectory(storeUrl) !== undefined) {
    const { openWithoutAgent } = await import("../core/agent/without_agent.ts");
    const held = await openWithoutAgent({ storeUrl, stateDir, dataDir });
    if (held !== undefined) {
      return { ...held.store, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() };
    }
  }
  const { openStore } = await import("../core/store/open.ts");
  return await openStore(storeUrl, { stateDir });
}

async function fromOptions(request: ClusterRequest): Promise<ClusterConfig> {
  const { makeClusterConfig } = await import("../core/cluster/config.ts");
  return makeClusterConfig(request);
}

async function fromFlannel(path: string, request: ClusterRequest): Promise<ClusterConfig> {
  if (Object.keys(request).length > 0) {
    throw new UsageError(
      'Cannot use "--from-flannel" with options that describe the cluster: the file is taken as it is',
      CONTEXT,
    );
  }
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`Cannot read "${path}": ${whyUnreadable(error)}`, CONTEXT, error);
  }
  const { configFromFlannel } = await import("../core/cluster/config.ts");
  return configFromFlannel(text, (sentence) => logWarnings([sentence]));
}

function describe(config: ClusterConfig, location: string, outcome: string): string {
  const { type, ...options } = config.backend;
  const details = Object.entries(options).map(([name, held]) => `${name} ${held}`).join(", ");
  const heading = {
    created: "Wrote the cluster's configuration",
    replaced: "Replaced the cluster's configuration",
    unchanged: "The store holds this configuration already",
  }[outcome];
  return `${heading}\n\n` + pairs([
    ["store", location],
    ["network", config.network],
    ["subnets", `/${config.subnetLen}, ${config.subnetMin} to ${config.subnetMax}`],
    ["backend", details === "" ? type : `${type} (${details})`],
    ["service network", config.serviceNetwork],
    ["lease TTL", `${config.leaseTtl} s`],
  ]);
}
