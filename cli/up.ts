/**
 * `knet up`: all that has to be typed on a host.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import { redactUrl } from "../core/base/secrets.ts";
import { readRecordedStore } from "../core/store/recorded_store.ts";
import { hasLeft, joinedByToken, ownStore } from "./by_token.ts";
import { defineCommand } from "./command.ts";
import { value } from "./option_table.ts";
import { print, printError, printJson } from "./output.ts";
import { needSystemd, setService, startService } from "./service_unit.ts";
import { hostOptions } from "./shared_options.ts";
import { makeToken } from "./token.ts";
import {
  CREDENTIAL_FILE,
  DEFAULT_DATA_DIR,
  ENVIRONMENT_FILE,
  serviceSettings,
} from "./unit_settings.ts";
import { span } from "./value_checks.ts";

const CONTEXT = "knet up";
/** Seconds that the agent has to get ready. */
const PATIENCE = 60;
/** Milliseconds that the token for the others is good for. */
const DAY = 86_400_000;

/** Somebody sits there and waits. */
function tellWait(sentence: string): void {
  printError(`Waiting for the agent${sentence === "" ? "" : `: ${sentence}`}`);
}

/** The command. */
export const up = defineCommand({
  name: "up",
  summary: "Begin a cluster on this host, or join one by its token",
  about: [
    "Sets the service up, enables and starts it, and returns when this host is part of the cluster. Without a token it begins a cluster " +
    "whose agents hold the store themselves, and prints what to type on each further host. It does no harm to repeat it.",
    "With --store the cluster's store is that one, and no token is needed: type the same on each host.",
    "What else there is to say of the cluster and of this host stands in the configuration file, which the service reads.",
  ],
  words: [{
    name: "TOKEN",
    help: "What knet up on the first host, or knet token, printed",
    optional: true,
  }],
  options: {
    node: hostOptions.node,
    "node-id": hostOptions["node-id"],
    timeout: value("SPAN", "How long to wait for the agent", span(1), { fallback: `${PATIENCE}s` }),
  },
  examples: [
    { line: "knet up", about: "on the first host" },
    { line: "knet up knet1.q83v…", about: "on each further host" },
    { line: "knet up --store postgres://knet@db/knet", about: "on all hosts, with a database" },
  ],
  run: async ({ options, words: [word], settings }) => {
    needSystemd();
    if (settings.dataDir !== DEFAULT_DATA_DIR) {
      throw new KnetError(
        `Cannot set the service up with the data directory ${settings.dataDir}: it has ${DEFAULT_DATA_DIR}`,
        { exitCode: 2, remedy: "Leave --data-dir out, or run knet join" },
      );
    }
    const { environment, url: before } = serviceSettings();
    const elsewhere = environment.get("KNET_DATA_DIR") || DEFAULT_DATA_DIR;
    if (elsewhere !== DEFAULT_DATA_DIR) {
      throw new KnetError(
        `Cannot set the service up: ${ENVIRONMENT_FILE} gives it the data directory ${elsewhere}`,
        {
          exitCode: 2,
          remedy: `Take KNET_DATA_DIR out of it; ${DEFAULT_DATA_DIR} may be a mount or a link`,
        },
      );
    }
    const begins = word === undefined && settings.store === undefined && before === undefined;
    const url = settings.store?.url ?? (word === undefined ? before : undefined) ??
      ownStore(settings);
    const member = readRecordedStore(DEFAULT_DATA_DIR).state !== "none";
    if (member && before !== undefined && before !== url) {
      throw new KnetError(
        `Cannot set the service up with the store ${redactUrl(url)}: it has ${
          redactUrl(before)
        } in ${environment.has("KNET_STORE") ? ENVIRONMENT_FILE : CREDENTIAL_FILE}`,
        {
          exitCode: 4,
          remedy: "Run knet leave first if this host is to belong to another cluster",
        },
      );
    }
    if (begins && await hasLeft(DEFAULT_DATA_DIR, url)) {
      // Its certificate of that cluster would lead it back there.
      const { forgetCluster } = await import("../core/port/node_files.ts");
      forgetCluster(DEFAULT_DATA_DIR);
    }
    if (word !== undefined) await joinedByToken(word, options, settings, CONTEXT);
    const wanted = {
      ...(before !== url && { KNET_STORE: url }),
      ...(options.node !== undefined && { KNET_NODE: options.node }),
      ...(options["node-id"] !== undefined && { KNET_NODE_ID: options["node-id"] }),
    };
    const changed = Object.entries(wanted).some(([name, value]) => environment.get(name) !== value);
    if (changed) setService(wanted);
    const patience = (options.timeout ?? PATIENCE) * 1000;
    await startService({ restart: changed, patience, onWait: tellWait });
    const wish = { life: DAY, role: "node", once: false, addresses: [] } as const;
    const line = begins ? `knet up ${(await makeToken(settings, wish)).token}` : undefined;
    if (settings.json) {
      return printJson({ ready: true, store: redactUrl(url), ...(line && { others: line }) });
    }
    print("This host is part of the cluster; knet status shows it");
    if (line !== undefined) print(`On each further host, within 24 hours:\n  ${line}`);
    else if (url.startsWith("dqlite:")) print("knet token makes a token for further hosts");
  },
});
