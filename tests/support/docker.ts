/**
 * A real Docker daemon on a host of the lab.
 *
 * @module
 */
import {
  type Background,
  type CommandLine,
  type ExecOptions,
  type Outcome,
  words,
} from "./exec.ts";
import type { Host } from "./host.ts";
import { IMAGE, RuntimeRoom } from "./runtime_room.ts";
import { until } from "./wait.ts";

/** How long a daemon may need, milliseconds: it waits for drivers that do not answer. */
const START = 60_000;

/** A host's Docker. */
export class Docker implements AsyncDisposable {
  readonly host: Host;
  #room: RuntimeRoom;
  #daemon: Background;

  private constructor(host: Host, room: RuntimeRoom) {
    this.host = host;
    this.#room = room;
    this.#daemon = startDaemon(room);
  }

  /**
   * Starts it, with an image to make containers of.
   *
   * @param image path of a tar.
   * @throws {Error} if it does not start, with the last that it said.
   */
  static async start(host: Host, image: string): Promise<Docker> {
    const docker = new Docker(host, await RuntimeRoom.create(host));
    try {
      await docker.#ready();
      await docker.run(["import", image, IMAGE]);
    } catch (error) {
      await docker[Symbol.asyncDispose]();
      throw error;
    }
    return docker;
  }

  /** Runs a command of the client. */
  run(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    return this.#room.run(["docker", "-H", "unix:///run/docker.sock", ...words(line)], options);
  }

  /** Starts a container that sleeps, of knet's network. */
  async container(name: string, ...options: string[]): Promise<void> {
    // What is the first process of its namespace does not heed SIGTERM.
    const quick = ["--stop-signal", "KILL", "--network", "knet"];
    await this.run(["run", "-d", "--name", name, ...quick, ...options, IMAGE, ...SLEEP]);
  }

  /** Runs a command in a container. */
  exec(name: string, line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    return this.run(["exec", name, ...words(line)], options);
  }

  /** Address of a container; empty while it does not run. */
  async address(name: string): Promise<string> {
    const format = "{{.NetworkSettings.Networks.knet.IPAddress}}";
    return (await this.run(["inspect", "-f", format, name])).stdout.trim();
  }

  /** Runs `knet install docker`. */
  install(args = "", options: ExecOptions = {}): Promise<Outcome> {
    return this.#room.knet(`install docker ${args}`, options);
  }

  /** Ends the daemon; its containers live on if it was killed. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    await this.#room.run(["sh", "-c", `kill -${signal.slice(3)} $(cat /run/docker.pid)`]);
    await this.#daemon.status;
  }

  /** Starts the daemon again. */
  async start(): Promise<void> {
    this.#daemon = startDaemon(this.#room);
    await this.#ready();
  }

  /** What a reboot does to it: all processes and what was in memory are gone. */
  async reboot(): Promise<void> {
    const plugins = this.#room.path("/etc/docker/plugins");
    const specs = [...Deno.readDirSync(plugins)].map(({ name }) => name);
    const kept = specs.map((name) => [name, Deno.readTextFileSync(`${plugins}/${name}`)] as const);
    await this.#room[Symbol.asyncDispose]();
    await this.host.sh("rm -rf /run/docker* /run/containerd");
    this.#room = await RuntimeRoom.create(this.host);
    await this.#room.run("mkdir -p /etc/docker/plugins");
    for (const [name, text] of kept) {
      Deno.writeTextFileSync(this.#room.path(`/etc/docker/plugins/${name}`), text);
    }
  }

  async #ready(): Promise<void> {
    const probe = async () => {
      if (this.#daemon.ended !== undefined) return true;
      return (await this.run("version", { check: false })).code === 0;
    };
    await until("Docker answers", probe, { deadline: START, interval: 100 });
    if (this.#daemon.ended === undefined) return;
    throw new Error(this.#daemon.stderr.trim().split("\n").slice(-3).join("\n"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#room[Symbol.asyncDispose]();
  }
}

const SLEEP = ["/bin/sleep", "3600"];

function startDaemon(room: RuntimeRoom): Background {
  return room.spawn([
    "sh",
    "-c",
    `rm -f /run/docker.pid
exec dockerd --data-root /run/host/docker --exec-root /run/docker-exec --pidfile /run/docker.pid \
  -H unix:///run/docker.sock --storage-driver vfs --exec-opt native.cgroupdriver=cgroupfs`,
  ]);
}
