/**
 * A container of the lab: a network namespace on a host, attached by `knet attach`.
 *
 * @module
 */
import { Background, type CommandLine, type ExecOptions, type Outcome, words } from "./exec.ts";
import type { Host } from "./host.ts";
import { type Transfer, TRANSFER_PORT } from "./transfer.ts";
import { until } from "./wait.ts";

const transferProgram = new URL("./transfer.ts", import.meta.url).pathname;

/** A network namespace on a host. */
export class Container {
  readonly host: Host;
  /** Name under /run/netns of the host. */
  readonly name: string;
  /** Address that `knet attach` gave it. */
  readonly address: string;

  constructor(host: Host, name: string, address: string) {
    this.host = host;
    this.name = name;
    this.address = address;
  }

  /** `h1/c1`, for messages. */
  get label(): string {
    return `${this.host.name}/${this.name}`;
  }

  /** Command line that leads into the container. */
  get enter(): string[] {
    return [...this.host.enter, "ip", "netns", "exec", this.name];
  }

  /** Runs a command in the container. */
  run(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    return this.host.run(["ip", "netns", "exec", this.name, ...words(line)], options);
  }

  /** Starts a command in the container. */
  spawn(line: CommandLine): Background {
    return this.host.keep(new Background([...this.enter, ...words(line)]));
  }

  /** One ping; true if the answer came within `wait` seconds. */
  async ping(address: string, wait = 1): Promise<boolean> {
    const line = `ping -n -q -c 1 -W ${wait} ${address}`;
    return (await this.run(line, { check: false })).code === 0;
  }

  /** One ping from a packet that fills the MTU and may not be fragmented. */
  async pingFull(address: string, mtu: number): Promise<boolean> {
    const line = `ping -n -q -c 1 -W 1 -M do -s ${mtu - 28} ${address}`;
    return (await this.run(line, { check: false })).code === 0;
  }

  /** Serves `bytes` bytes to everyone who connects. */
  async serve(bytes: number): Promise<Background> {
    const server = this.spawn(deno("serve", `${TRANSFER_PORT}`, `${bytes}`));
    await until(`${this.label} serves`, () => {
      if (server.ended !== undefined) throw new Error(server.stderr);
      return server.stdout.includes("ready");
    });
    return server;
  }

  /** Reads what the servers at these addresses send, one after the other. */
  async fetch(addresses: readonly string[]): Promise<Transfer[]> {
    const { stdout } = await this.run(deno("fetch", `${TRANSFER_PORT}`, ...addresses));
    return stdout.trim().split("\n").map((line) => JSON.parse(line) as Transfer);
  }

  /** Address that the container's eth0 has now, undefined without one. */
  async currentAddress(ifname = "eth0"): Promise<string | undefined> {
    const { stdout } = await this.run(`ip -j -4 addr show dev ${ifname}`, { check: false });
    const links = JSON.parse(stdout || "[]") as { addr_info: { local: string }[] }[];
    return links[0]?.addr_info[0]?.local;
  }
}

/** Pings that go on in the background, for the loss over some event. */
export class PingStream implements AsyncDisposable {
  readonly #process: Background;

  private constructor(process: Background) {
    this.#process = process;
  }

  /** Starts them, `interval` seconds apart, and waits for the first answer. */
  static async start(from: Container, to: string, interval = 0.01): Promise<PingStream> {
    const process = from.spawn(`ping -n -i ${interval} ${to}`);
    await until(`${from.label} gets a first answer from ${to}`, () => {
      if (process.stdout.includes("bytes from")) return true;
      throw new Error(process.stderr + process.stdout || "ping says nothing");
    });
    return new PingStream(process);
  }

  /** Numbers of the pings that were answered so far. */
  get #answered(): number[] {
    return [...this.#process.stdout.matchAll(/icmp_seq=(\d+) ttl/g)].map((match) =>
      Number(match[1])
    );
  }

  /**
   * Ends them, after one more answer than there are now. Those under way at the very end are not counted: on a busy machine there may
   * be several.
   */
  async stop(): Promise<{ sent: number; received: number; lost: number }> {
    const soFar = Math.max(...this.#answered);
    const flows = await until(
      "one more ping is answered",
      () => Math.max(...this.#answered) > soFar,
    )
      .then(() => true, () => false);
    await this.#process.stop("SIGINT");
    const counts = /(\d+) packets transmitted, (\d+) received/.exec(this.#process.stdout);
    const received = Number(counts?.[2]);
    const sent = flows ? Math.max(...this.#answered) : Number(counts?.[1]);
    return { sent, received, lost: sent - received };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

function deno(...args: string[]): string[] {
  return [Deno.execPath(), "run", "-q", "--no-config", "--allow-net", transferProgram, ...args];
}
