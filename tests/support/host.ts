/**
 * A host of the lab: a network namespace with its own /run, machine-id, boot id and host name, joined
 * to the others by eth0 on the underlay.
 *
 * Longer than others: all that is done to a host in a test is here.
 *
 * @module
 */
import * as http from "node:http";
import { messageOf } from "../../core/base/error.ts";
import type { BackendCase } from "./backend.ts";
import { Container } from "./container.ts";
import {
  Background,
  type CommandLine,
  exec,
  type ExecOptions,
  type Outcome,
  words,
} from "./exec.ts";
import { holderScript, type HostOptions } from "./host_script.ts";
import { DEADLINE, sleep, until } from "./wait.ts";

const entry = new URL("../../cli/main.ts", import.meta.url).pathname;

/** How the program under test is started: the compiled binary of KNET_BIN, else the sources. */
export function knetProgram(): string[] {
  const binary = Deno.env.get("KNET_BIN");
  return binary ? [binary] : [Deno.execPath(), "run", "-q", "-A", entry];
}

/** The same with a carrier for hosts that hold the store themselves: from the sources, it is not in the binary. */
function carriedProgram(): string[] {
  const carried = new URL("./knet_plain.ts", import.meta.url).pathname;
  return [Deno.execPath(), "run", "-q", "-A", carried];
}

/** How the agent is started. */
export interface JoinOptions {
  /** More arguments for `knet join`. */
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** Command put before knet, such as faketime. */
  readonly wrapper?: readonly string[];
  /** With `false`, does not wait until the agent says that it is ready. */
  readonly wait?: boolean;
}

/** Hexadecimal digits of a machine-id. */
export function randomMachineId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** A host of the lab. */
export class Host implements AsyncDisposable {
  readonly options: HostOptions;
  readonly name: string;
  /** Underlay address, as the lab knows it. */
  address: string;
  /** The agent, while one runs or the last one that did. */
  agent: Background | undefined;
  /** What the agent runs. */
  backend: BackendCase;
  /** Arguments that every `knet join` on this host gets. */
  joinArgs: readonly string[];
  /** The program on this host, where it is not the one under test. */
  binary: string | undefined;
  readonly containers: Container[] = [];
  readonly machineId: string;
  readonly #holder: Background;
  readonly #kept: Background[] = [];
  /** The agent that has made the cluster, until somebody asks for it. */
  #begun: Background | undefined;

  private constructor(options: HostOptions, machineId: string, holder: Background) {
    this.machineId = machineId;
    this.options = options;
    this.name = options.name;
    this.address = options.address;
    this.backend = options.backend;
    this.joinArgs = options.backend.joinArgs;
    this.#holder = holder;
  }

  /** Makes the host; its network namespace with eth0 is there already. */
  static async create(options: HostOptions): Promise<Host> {
    const machineId = options.machineId ?? randomMachineId();
    const script = holderScript(options, machineId);
    const unshare = ["unshare", "-m", "-u", "--propagation", "private"];
    const holder = new Background([
      "ip",
      "netns",
      "exec",
      options.netns,
      ...unshare,
      "sh",
      "-c",
      script,
    ]);
    const host = new Host(options, machineId, holder);
    try {
      await until(`${options.name} is up`, () => {
        if (holder.ended !== undefined) throw new Error(holder.stderr);
        return holder.stdout.includes("ready");
      });
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
    return host;
  }

  /** Command line that leads into the host's namespaces. */
  get enter(): string[] {
    return ["nsenter", "-t", `${this.#holder.pid}`, "-n", "-m", "-u", "--"];
  }

  /** A file of the host as the test process can open it. */
  path(file: string): string {
    return `/proc/${this.#holder.pid}/root${file}`;
  }

  /** Runs a command on the host. */
  run(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    return exec([...this.enter, ...words(line)], options);
  }

  /** Runs a shell script on the host. */
  sh(script: string, options: ExecOptions = {}): Promise<Outcome> {
    return exec([...this.enter, "sh", "-ec", script], options);
  }

  /** Runs a command that prints JSON on the host. */
  async json<T>(line: CommandLine): Promise<T> {
    const { stdout } = await this.run(line);
    return JSON.parse(stdout.trim() || "[]") as T;
  }

  /** Ends a background process together with the host. */
  keep(process: Background): Background {
    this.#kept.push(process);
    return process;
  }

  /** Starts a command on the host. */
  spawn(line: CommandLine, options: { env?: Record<string, string> } = {}): Background {
    return this.keep(new Background([...this.enter, ...words(line)], options));
  }

  #knetLine(args: readonly string[], wrapper: readonly string[]): string[] {
    const root = this.options.root === undefined ? [] : ["chroot", this.options.root];
    const program = this.binary !== undefined
      ? [this.binary]
      : this.options.root === undefined
      ? this.options.storeUrl.startsWith("dqlite:") ? carriedProgram() : knetProgram()
      : ["/usr/bin/knet"];
    return [
      ...this.enter,
      ...wrapper,
      ...root,
      ...program,
      ...args,
      "--data-dir",
      "/run/host/data",
    ];
  }

  #environment(env: Record<string, string> = {}): Record<string, string> {
    const { storeUrl, seeds } = this.options;
    return {
      KNET_STORE: storeUrl,
      NO_COLOR: "1",
      ...(seeds !== undefined && { KNET_TEST_SEEDS: seeds().join(" ") }),
      ...env,
    };
  }

  /** Runs a knet command on the host. */
  knet(
    args: CommandLine,
    options: ExecOptions & { wrapper?: readonly string[] } = {},
  ): Promise<Outcome> {
    const line = this.#knetLine(words(args), options.wrapper ?? []);
    return exec(line, { ...options, env: this.#environment(options.env) });
  }

  /** Runs a knet command with `--json` and returns its document. */
  async knetJson<T>(args: CommandLine): Promise<T> {
    return JSON.parse((await this.knet([...words(args), "--json"])).stdout) as T;
  }

  /** Lets the agent make the cluster, with these arguments: it is what the next `join` would start. */
  async begin(args: readonly string[]): Promise<void> {
    this.#begun = await this.join({ args });
  }

  /** Starts the agent and waits until it is ready. */
  async join(options: JoinOptions = {}): Promise<Background> {
    const begun = this.#begun;
    this.#begun = undefined;
    if (begun !== undefined && begun === this.agent) return begun;
    const args = ["join", ...this.joinArgs, ...(options.args ?? [])];
    const line = this.#knetLine(args, options.wrapper ?? []);
    const agent = this.keep(new Background(line, { env: this.#environment(options.env) }));
    this.agent = agent;
    if (options.wait !== false) await this.ready();
    return agent;
  }

  /**
   * Joins, and ends the agent as soon as that is done: `knet join --once`, or, where the agents hold the store and have to run, an agent that
   * is stopped when it is ready.
   *
   * @param args More arguments for `knet join`.
   */
  async joinOnce(
    args: readonly string[] = [],
    options: ExecOptions & { wrapper?: readonly string[] } = {},
  ): Promise<Outcome> {
    const { check = true, env = {}, wrapper = [] } = options;
    if (!this.options.storeUrl.startsWith("dqlite:")) {
      return await this.knet(["join", ...this.joinArgs, ...args, "--once"], options);
    }
    const agent = await this.join({ args, env, wrapper, wait: false });
    await until(`the agent of ${this.name} is ready, or ends`, async () => {
      return agent.ended !== undefined || (await this.get("/readyz")).status === 200;
    }, { deadline: 3 * DEADLINE });
    const ready = agent.ended === undefined;
    const { code = 0 } = await this.stop() ?? {};
    const outcome = { code: ready ? 0 : code, stdout: agent.stdout, stderr: agent.stderr };
    if (check && outcome.code !== 0) throw new Error(outcome.stderr);
    return outcome;
  }

  /** Waits until the agent says that it is ready. */
  async ready(): Promise<void> {
    const { agent } = this;
    await until(`the agent of ${this.name} is ready`, async () => {
      if (agent?.ended !== undefined) return true;
      return (await this.get("/readyz")).status === 200;
    }, { deadline: 3 * DEADLINE });
    if (agent?.ended !== undefined) {
      throw new Error(`The agent of ${this.name} ended: ${agent.ended.code}\n${agent.stderr}`);
    }
  }

  /** Asks the agent's socket. */
  get(path: string): Promise<{ status: number; body: string }> {
    const socketPath = this.path("/run/knet/knet.sock");
    return new Promise((resolve, reject) => {
      const request = http.request(
        { socketPath, path, agent: false, timeout: 10_000 },
        (response) => {
          let body = "";
          response.setEncoding("utf8");
          response.on("data", (text: string) => body += text);
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
          response.on("error", reject);
        },
      );
      request.on("timeout", () => request.destroy(new Error("no answer within 10 s")));
      request.on("error", reject);
      request.end();
    });
  }

  /** Ends the agent. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus | undefined> {
    const { agent } = this;
    this.agent = undefined;
    try {
      return await agent?.stop(signal);
    } catch (error) {
      throw new Error(`${messageOf(error)}:\n${agent!.stderr}`);
    }
  }

  /** Ends the agent, takes everything of knet down and gives the lease back. */
  async leave(): Promise<void> {
    await this.stop();
    await this.knet("leave");
    this.containers.length = 0;
  }

  /** Makes a network namespace and attaches it. */
  async attach(name: string, args: readonly string[] = []): Promise<Container> {
    await this.run(["ip", "netns", "add", name]);
    await this.knet(["attach", name, ...args]);
    const probe = new Container(this, name, "");
    const address = await probe.currentAddress();
    if (address === undefined) throw new Error(`${probe.label} has no address after knet attach`);
    const container = new Container(this, name, address);
    this.containers.push(container);
    return container;
  }

  /** Key and value pairs of subnet.env. */
  async subnetEnv(): Promise<Record<string, string>> {
    const text = await Deno.readTextFile(this.path("/run/knet/subnet.env"));
    return Object.fromEntries(
      text.trim().split("\n").map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      }),
    );
  }

  /** This host's subnet as a prefix: `10.244.1.0/24`. */
  async subnet(): Promise<string> {
    const gateway = (await this.subnetEnv())["KNET_SUBNET"] ?? "";
    return networkOf(gateway);
  }

  /** What the kernel forgets at a reboot, with a new boot id; data stay. The agent is dead before. */
  async reboot(): Promise<void> {
    await this.stop("SIGKILL");
    for (const container of this.containers.splice(0)) {
      await this.run(["ip", "netns", "delete", container.name]);
    }
    await this.sh(
      `rm -rf /run/knet; nft flush ruleset
       for d in $(ls /sys/class/net | grep '^knet'); do ip link delete "$d"; done
       cat /proc/sys/kernel/random/uuid > /run/host/boot-id`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#kept) await process[Symbol.asyncDispose]();
    await this.#holder[Symbol.asyncDispose]();
    await sleep(0);
  }
}

/** `10.244.1.1/24` becomes `10.244.1.0/24` (IPv4). */
export function networkOf(prefix: string): string {
  const [address = "", length = "32"] = prefix.split("/");
  const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  const base = Math.floor(value / size) * size;
  return `${[24, 16, 8, 0].map((bits) => Math.floor(base / 2 ** bits) % 256).join(".")}/${length}`;
}
