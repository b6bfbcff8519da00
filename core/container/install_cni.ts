/**
 * Places the CNI plugin and a configuration of it where container runtimes look, and takes both away again.
 *
 * Runtimes watch the folder and read whatever is there at that moment, so that files come and go whole. Which they are is kept in the
 * data directory: a configuration that is left behind would hold containers up on a host that has no network of knet any more.
 *
 * @module
 */
import { basename, join } from "node:path";
import * as v from "valibot";
import { KnetError } from "../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../base/files.ts";
import { checkShape, parseShape } from "../base/shape.ts";
import { CNI_PLUGIN, CNI_WORD } from "./cni/protocol.ts";
import { refuseAnothers } from "./another_knet.ts";
import { launcher, launcherState } from "./launcher.ts";

/** Where runtimes look by default. */
export const CNI_FOLDERS = { bin: "/opt/cni/bin", conf: "/etc/cni/net.d" } as const;

/** What is to be installed. */
export interface InstallOptions {
  /** Folder for the plugin. */
  readonly binDir: string;
  /** Folder for the configuration. */
  readonly confDir: string;
  /** Name of the network as the runtimes know it. */
  readonly network: string;
  readonly stateDir: string;
  readonly dataDir: string;
  /** How the program is called: the path of the binary, or the words of a command line. */
  readonly program: readonly string[];
}

/** What was installed. */
export interface InstallResult {
  /** Path of the plugin. */
  readonly plugin: string;
  /** Path of the configuration. */
  readonly config: string;
  /** Configurations of others that stand before it: containerd and CRI-O take the first. */
  readonly before: readonly string[];
}

const INSTALLED = v.looseObject({ plugin: v.string(), config: v.string() });

const recordFile = (dataDir: string) => join(dataDir, "installed-cni.json");

/** The configuration's text. Pure. */
export function conflist(
  { network, stateDir, dataDir }: Pick<InstallOptions, "network" | "stateDir" | "dataDir">,
): string {
  const knet = {
    type: CNI_PLUGIN,
    ...(stateDir !== "/run/knet" && { stateDir }),
    ...(dataDir !== "/var/lib/knet" && { dataDir }),
    capabilities: { ips: true, mac: true, aliases: true, portMappings: true, bandwidth: true },
  };
  const document = {
    cniVersion: "1.0.0",
    // Of these a runtime takes the newest that it knows; older ones look at the line above.
    cniVersions: ["0.4.0", "1.0.0", "1.1.0"],
    name: network,
    plugins: [knet],
  };
  return JSON.stringify(document, null, 2) + "\n";
}

/**
 * Installs plugin and configuration, or brings them up to date.
 *
 * @throws {KnetError} exit code 4 if somebody else's file, or another knet's, has one of the names, 1 if a folder cannot be written.
 */
export function installCni(options: InstallOptions): InstallResult {
  const { binDir, confDir, dataDir, program } = options;
  const plugin = join(binDir, CNI_PLUGIN);
  const config = join(confDir, "10-knet.conflist");
  const own = readInstalled(dataDir);
  const present = readTextIfPresent(config);
  if (present !== undefined && !isOurs(present)) {
    throw new KnetError(`Cannot write "${config}": it is there and not of knet's making`, {
      exitCode: 4,
      remedy: "Move it away, or choose another folder with --conf-dir",
    });
  }
  refuseAnothers({ path: config, stateOf, option: "--conf-dir" }, options.stateDir, own?.config);
  refuseAnothers(
    { path: plugin, stateOf: launcherState, option: "--bin-dir" },
    options.stateDir,
    own?.plugin,
  );
  // Recorded first: what is placed and not recorded would stay for ever.
  writeFileAtomically(
    recordFile(dataDir),
    JSON.stringify({ plugin, config }, null, 2) + "\n",
    0o600,
    0o700,
  );
  if (own !== undefined && own.config !== config) removeConfig(own.config);
  if (own !== undefined && own.plugin !== plugin) removePlugin(own.plugin);
  // The plugin before the configuration that names it.
  const words = [...program, CNI_WORD];
  writeFileAtomically(plugin, launcher(`# ${CNI_PLUGIN}`, words, options.stateDir, "cni"), 0o755);
  writeFileAtomically(config, conflist(options));
  const before = [...Deno.readDirSync(confDir)].map(({ name }) => name)
    .filter((name) => /\.(conf|conflist|json)$/.test(name) && name < basename(config)).sort();
  return { plugin, config, before };
}

/**
 * Takes away what was installed on this host, as far as it is still knet's.
 *
 * @returns paths of what is gone; none if nothing was installed.
 */
export function removeCni(dataDir: string): string[] {
  const own = readInstalled(dataDir);
  if (own === undefined) return [];
  // The configuration before the plugin that it names.
  const gone = [
    ...(removeConfig(own.config) ? [own.config] : []),
    ...(removePlugin(own.plugin) ? [own.plugin] : []),
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

const PLUGINS = v.looseObject({
  plugins: v.array(v.looseObject({ type: v.string(), stateDir: v.exactOptional(v.string()) })),
});

/** Folder of the state of the agent that a configuration is for. */
function stateOf(text: string): string | undefined {
  try {
    const { plugins } = parseShape(PLUGINS, text);
    const knet = plugins.find(({ type }) => type === CNI_PLUGIN);
    return knet && (knet.stateDir ?? "/run/knet");
  } catch {
    return undefined;
  }
}

/** Whether a configuration is one of knet's plugin, by hand changed or not. */
function isOurs(text: string): boolean {
  try {
    return checkShape(PLUGINS, JSON.parse(text)).plugins.some(({ type }) => type === CNI_PLUGIN);
  } catch {
    return false;
  }
}

function removeConfig(path: string): boolean {
  const text = readTextIfPresent(path);
  if (text === undefined || !isOurs(text)) return false;
  removeIfPresent(path);
  return true;
}

/** Whatever has the plugin's own name in the recorded place is it: the program behind it may be another by now. */
function removePlugin(path: string): boolean {
  if (basename(path) !== CNI_PLUGIN || !exists(path)) return false;
  removeIfPresent(path);
  return true;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
