/**
 * `knet install`: makes knet known to container runtimes on this host.
 *
 * @module
 */
import type { InstallResult } from "../core/container/install_cni.ts";
import { type CommandGroup, defineCommand } from "./command.ts";
import { value } from "./option_table.ts";
import { print, printJson } from "./output.ts";
import { networkName, text } from "./value_checks.ts";

const cni = defineCommand({
  name: "install cni",
  summary: "Place the CNI plugin and its configuration",
  about: [
    "For containerd, nerdctl, CRI-O, Nomad (network mode cni/knet) and podman with CNI: places the plugin knet-cni and the configuration " +
    "10-knet.conflist, each whole at once. `knet leave` takes both away again.",
  ],
  words: [],
  options: {
    "bin-dir": value("DIR", "The plugins' folder", text, {
      fallback: "/opt/cni/bin",
      complete: "directory",
    }),
    "conf-dir": value("DIR", "The configurations' folder", text, {
      fallback: "/etc/cni/net.d",
      complete: "directory",
    }),
    name: value("NAME", "Name of the network for the runtimes", networkName, { fallback: "knet" }),
  },
  examples: [{ line: "knet install cni", about: "then: nerdctl run --network knet …" }],
  run: async ({ options, settings }) => {
    const { CNI_FOLDERS, installCni } = await import("../core/container/install_cni.ts");
    const result = installCni({
      binDir: options["bin-dir"] ?? CNI_FOLDERS.bin,
      confDir: options["conf-dir"] ?? CNI_FOLDERS.conf,
      network: options.name ?? "knet",
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      program: programWords(),
    });
    if (settings.json) printJson(result);
    else print(installText(result));
  },
});

const docker = defineCommand({
  name: "install docker",
  summary: "Make Docker's network on knet's bridge",
  about: [
    "Makes a network of Docker's bridge driver that is knet's bridge, with addresses by knet: docker run --network knet reaches the " +
    "containers of all hosts, and -p, compose and Docker's name server are as ever. `knet leave` takes it back.",
  ],
  words: [],
  options: {
    name: value("NAME", "Name of Docker's network", networkName, { fallback: "knet" }),
    "docker-socket": value("PATH", "Docker's own socket", text, {
      fallback: "/run/docker.sock",
      complete: "file",
    }),
    "spec-dir": value("DIR", "Where Docker looks for drivers", text, {
      fallback: "/etc/docker/plugins",
      complete: "directory",
    }),
  },
  examples: [{ line: "knet install docker", about: "then: docker run --network knet …" }],
  run: async ({ options, settings }) => {
    const { DOCKER_PLACES, installDocker } = await import("../core/container/docker/install.ts");
    const result = await installDocker({
      network: options.name ?? "knet",
      socket: options["docker-socket"] ?? DOCKER_PLACES.socket,
      specDir: options["spec-dir"] ?? DOCKER_PLACES.spec,
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
    });
    if (settings.json) printJson(result);
    else if (result.how === "present") print(`Docker has its network ${result.network} already`);
    else print(`Made Docker's network ${result.network}`);
  },
});

const podman = defineCommand({
  name: "install podman",
  summary: "Place the plugin of netavark and podman's network",
  about: [
    "For podman 4.5 and newer with netavark: places the plugin knet and a network of it, so that podman run --network knet reaches the " +
    "containers of all hosts; further ones by podman network create -d knet. Older podmans take CNI: knet install cni. `knet leave` takes " +
    "both away again.",
  ],
  words: [],
  options: {
    name: value("NAME", "Name of podman's network", networkName, { fallback: "knet" }),
    "plugin-dir": value("DIR", "Where netavark looks for plugins", text, {
      fallback: "/usr/local/libexec/netavark",
      complete: "directory",
    }),
    "network-dir": value("DIR", "Where podman keeps its networks", text, {
      fallback: "/etc/containers/networks",
      complete: "directory",
    }),
  },
  examples: [{ line: "knet install podman", about: "then: podman run --network knet …" }],
  run: async ({ options, settings }) => {
    const { installPodman, PODMAN_FOLDERS } = await import(
      "../core/container/netavark/install.ts"
    );
    const result = await installPodman({
      network: options.name ?? "knet",
      pluginDir: options["plugin-dir"] ?? PODMAN_FOLDERS.plugins,
      networkDir: options["network-dir"] ?? PODMAN_FOLDERS.networks,
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      program: programWords(),
    });
    if (settings.json) printJson(result);
    else print(`Placed ${result.plugin} and ${result.network}`);
  },
});

/** How this program is called: itself, the script that starts it (dist/runtime_folder.ts), or Deno with its sources. */
function programWords(): string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  const launcher = Deno.env.get("KNET_LAUNCHER");
  if (launcher) return [launcher];
  const main = new URL("./main.ts", import.meta.url);
  return [Deno.execPath(), "run", "-q", "-A", main.pathname];
}

/** What was installed, in words. */
export function installText({ plugin, config, before }: InstallResult): string {
  return [
    `Placed ${plugin} and ${config}`,
    ...(before.length === 0 ? [] : [
      `containerd and CRI-O take the first configuration, which is ${
        before[0]
      }: move it away if knet's is to be theirs`,
    ]),
  ].join("\n");
}

/** The command. */
export const install: CommandGroup = {
  name: "install",
  summary: "Make knet known to container runtimes on this host",
  commands: [cni, docker, podman],
};
