/**
 * A real containerd on a host of the lab, with the network that `knet install cni` makes.
 *
 * @module
 */
import {
  type Background,
  type CommandLine,
  exec,
  type ExecOptions,
  type Outcome,
  words,
} from "./exec.ts";
import type { Host } from "./host.ts";
import { IMAGE, makeImage, RuntimeRoom } from "./runtime_room.ts";
import { until } from "./wait.ts";

/** The image's whole name. */
export const CONTAINERD_IMAGE = `docker.io/library/${IMAGE}:latest`;

const ENV = { CONTAINERD_SNAPSHOTTER: "native", CONTAINERD_NAMESPACE: "default" };

/** Its state is in memory, what it keeps is in the host's folder. */
const CONFIG = `version = 2
root = "/run/host/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[plugins."io.containerd.internal.v1.restart"]
  interval = "1s"
`;

/** A host's containerd. */
export class Containerd implements AsyncDisposable {
  readonly host: Host;
  #room: RuntimeRoom;
  #daemon: Background | undefined;

  private constructor(host: Host, room: RuntimeRoom) {
    this.host = host;
    this.#room = room;
  }

  /**
   * Starts it, with an image to make containers of.
   *
   * @param archive path of what {@linkcode makeArchive} made.
   * @throws {Error} if it does not start, with the last that it said.
   */
  static async start(host: Host, archive: string): Promise<Containerd> {
    const it = new Containerd(host, await RuntimeRoom.create(host));
    try {
      await it.#furnish();
      await it.start();
      await it.ctr(["images", "import", archive]);
    } catch (error) {
      await it[Symbol.asyncDispose]();
      throw error;
    }
    return it;
  }

  /** Places of its own that containerd looks at, and no option names. */
  async #furnish(): Promise<void> {
    await this.#room.run([
      ...["sh", "-ec"],
      `mkdir -p /run/host/cni/bin /run/host/cni/net.d /opt/cni /etc/cni/net.d
ln -sf /usr/lib/cni/* /run/host/cni/bin/
mount --bind /run/host/cni /opt/cni
mount --bind /run/host/cni/net.d /etc/cni/net.d`,
    ]);
    Deno.writeTextFileSync(this.host.path("/run/host/containerd.toml"), CONFIG);
  }

  /** Starts the daemon. */
  async start(): Promise<void> {
    const daemon = this.#room.spawn([
      ...["sh", "-c"],
      "echo $$ > /run/containerd.pid; exec containerd --config /run/host/containerd.toml",
    ]);
    this.#daemon = daemon;
    await until("containerd answers", async () => {
      if (daemon.ended !== undefined) return true;
      return (await this.ctr("version", { check: false })).code === 0;
    });
    if (daemon.ended === undefined) return;
    throw new Error(daemon.stderr.trim().split("\n").slice(-3).join("\n"));
  }

  /** Ends the daemon; its containers live on. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    await this.#room.run(["sh", "-c", `kill -${signal.slice(3)} $(cat /run/containerd.pid)`]);
    await this.#daemon?.status;
  }

  /** Runs a command of containerd's own client. */
  ctr(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    return this.#room.run(["ctr", ...words(line)], { ...options, env: ENV });
  }

  /** Runs a command of nerdctl, which {@linkcode placeNerdctl} placed. */
  nerdctl(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    const program = ["/run/host/nerdctl", "--data-root", "/run/host/nerdctl-data"];
    return this.#room.run([...program, ...words(line)], { ...options, env: ENV });
  }

  /** Gives the host nerdctl. */
  async placeNerdctl(program: string): Promise<void> {
    await Deno.copyFile(program, this.host.path("/run/host/nerdctl"));
    await Deno.chmod(this.host.path("/run/host/nerdctl"), 0o755);
  }

  /** Runs `knet install cni`. */
  install(options: ExecOptions = {}): Promise<Outcome> {
    const folders = "--bin-dir /run/host/cni/bin --conf-dir /run/host/cni/net.d";
    return this.host.knet(`install cni ${folders}`, options);
  }

  /** What a reboot does to it: all processes and what was in memory are gone. */
  async reboot(): Promise<void> {
    await this.#room[Symbol.asyncDispose]();
    await this.host.sh("rm -rf /run/containerd /run/nerdctl");
    this.#room = await RuntimeRoom.create(this.host);
    await this.#furnish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#room[Symbol.asyncDispose]();
  }
}

/** Makes an image in a folder, as `docker save` writes them; returns the path of its archive. */
export async function makeArchive(folder: string): Promise<string> {
  const layer = await makeImage(folder);
  const bytes = await Deno.readFile(layer);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const architecture = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  await Deno.writeTextFile(
    `${folder}/config.json`,
    JSON.stringify({
      architecture,
      os: "linux",
      config: { Env: ["PATH=/bin"], Cmd: ["/bin/sleep", "3600"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
    }),
  );
  const manifest = [{
    Config: "config.json",
    RepoTags: [CONTAINERD_IMAGE],
    Layers: [layer.slice(folder.length + 1)],
  }];
  await Deno.writeTextFile(`${folder}/manifest.json`, JSON.stringify(manifest));
  const names = ["manifest.json", "config.json", layer.slice(folder.length + 1)];
  await exec(["tar", "-C", folder, "-cf", `${folder}/archive.tar`, ...names]);
  return `${folder}/archive.tar`;
}
