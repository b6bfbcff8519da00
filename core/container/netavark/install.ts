/**
 * Places the plugin where netavark looks, and the definition of a network where podman does; takes both away again.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { KnetError } from "../../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../../base/files.ts";
import { parseShape } from "../../base/shape.ts";
import { wallClock } from "../../base/clock.ts";
import { refuseAnothers } from "../another_knet.ts";
import { launcher, launcherState } from "../launcher.ts";
import { PODMAN_DRIVER } from "./protocol.ts";
import { networkDocument } from "./request.ts";

/** Where podman looks by default. */
export const PODMAN_FOLDERS = {
  plugins: "/usr/local/libexec/netavark",
  networks: "/etc/containers/networks",
} as const;

/** What is to be installed. */
export interface PodmanOptions {
  /** Folder for the plugin. */
  readonly pluginDir: string;
  /** Folder for the network's definition. */
  readonly networkDir: string;
  /** Name of the network. */
  readonly network: string;
  readonly stateDir: string;
  readonly dataDir: string;
  /** How the program is called: the path of the binary, or the words of a command line. */
  readonly program: readonly string[];
}

/** What was installed: paths. */
export interface PodmanResult {
  readonly plugin: string;
  readonly network: string;
}

const INSTALLED = v.looseObject({ plugin: v.string(), network: v.string() });
const DEFINITION = v.looseObject({ driver: v.string() });
/** By which the plugin is known as knet's. */
const MARK = "# knet's plugin for netavark";

const recordFile = (dataDir: string) => join(dataDir, "installed-podman.json");

/**
 * Installs plugin and network, or brings them up to date.
 *
 * @throws {KnetError} exit code 4 if somebody else's file has one of the names, 1 if a folder cannot be written.
 */
export async function installPodman(options: PodmanOptions): Promise<PodmanResult> {
  const { pluginDir, networkDir, dataDir, program, stateDir } = options;
  const plugin = join(pluginDir, PODMAN_DRIVER);
  const network = join(networkDir, `${options.network}.json`);
  refuseForeign(plugin, isOurPlugin, "--plugin-dir");
  refuseForeign(network, isOurNetwork, "--name");
  const before = readInstalled(dataDir);
  refuseAnothers(
    { path: plugin, stateOf: launcherState, option: "--plugin-dir" },
    stateDir,
    before?.plugin,
  );
  writeFileAtomically(
    recordFile(dataDir),
    JSON.stringify({ plugin, network }, null, 2) + "\n",
    0o600,
    0o700,
  );
  if (before !== undefined && before.network !== network) removeOurs(before.network, isOurNetwork);
  if (before !== undefined && before.plugin !== plugin) removeOurs(before.plugin, isOurPlugin);
  const words = [...program, "__netavark", stateDir, dataDir];
  writeFileAtomically(plugin, launcher(MARK, words, stateDir, "netavark"), 0o755);
  // A network that is there stays: podman may have written to it.
  if (readTextIfPresent(network) === undefined) {
    writeFileAtomically(network, JSON.stringify(await definition(options.network), null, 2) + "\n");
  }
  return { plugin, network };
}

/** As podman writes it (go.podman.io/common/libnetwork/types, Network). */
async function definition(name: string): Promise<Readonly<Record<string, unknown>>> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`knet ${name}`));
  return networkDocument({
    name,
    id: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    driver: PODMAN_DRIVER,
    created: new Date(wallClock()).toISOString(),
    ipv6_enabled: false,
    internal: false,
  });
}

/** Takes away what was installed on this host, as far as it is still knet's; returns paths of what is gone. */
export function removePodman(dataDir: string): string[] {
  const own = readInstalled(dataDir);
  if (own === undefined) return [];
  // The network before the plugin that it names.
  const gone = [
    ...(removeOurs(own.network, isOurNetwork) ? [own.network] : []),
    ...(removeOurs(own.plugin, isOurPlugin) ? [own.plugin] : []),
  ];
  removeIfPresent(recordFile(dataDir));
  return gone;
}

function readInstalled(dataDir: string): v.InferOutput<typeof INSTALLED> | undefined {
  const text = readTextIfPresent(recordFile(dataDir));
  if (text === undefined) return undefined;
  try {
    return parseShape(INSTALLED, text);
  } catch {
    return undefined; // Written atomically, so a foreign hand has had it.
  }
}

function refuseForeign(path: string, isOurs: (text: string) => boolean, option: string): void {
  const text = readTextIfPresent(path);
  if (text === undefined || isOurs(text)) return;
  throw new KnetError(`Cannot write "${path}": it is there and not of knet's making`, {
    exitCode: 4,
    remedy: `Move it away, or choose another with ${option}`,
  });
}

function isOurPlugin(text: string): boolean {
  return text.split("\n")[1] === MARK;
}

function isOurNetwork(text: string): boolean {
  try {
    return parseShape(DEFINITION, text).driver === PODMAN_DRIVER;
  } catch {
    return false;
  }
}

function removeOurs(path: string, isOurs: (text: string) => boolean): boolean {
  const text = readTextIfPresent(path);
  if (text === undefined || !isOurs(text)) return false;
  removeIfPresent(path);
  return true;
}
