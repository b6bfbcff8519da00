/**
 * A throw-away etcd in a namespace of the lab.
 *
 * @module
 */
import { Background, exec } from "../../support/exec.ts";
import type { Lab } from "../../support/lab.ts";
import { until } from "../../support/wait.ts";

const ADDRESS = "192.168.2.210";
const PEERS = "http://127.0.0.1:2380";

/** A server of one member. Its files are in memory, as Postgres's are not flushed in the lab either: no disk is measured. */
export class Etcd implements AsyncDisposable {
  readonly url = `http://${ADDRESS}:2379`;
  readonly #server: Background;
  readonly #enter: readonly string[];
  readonly #etcdctl: string;
  readonly #folder: string;

  private constructor(
    server: Background,
    enter: readonly string[],
    etcdctl: string,
    folder: string,
  ) {
    this.#server = server;
    this.#enter = enter;
    this.#etcdctl = etcdctl;
    this.#folder = folder;
  }

  /**
   * Starts it on the lab's underlay.
   *
   * @param program `etcd`; `etcdctl` is beside it.
   */
  static async start(lab: Lab, program: string): Promise<Etcd> {
    const netns = await lab.addStranger("etcd", ADDRESS);
    const enter = ["ip", "netns", "exec", netns];
    const folder = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "knet-etcd-" });
    const clients = `http://${ADDRESS}:2379`;
    const server = new Background([
      ...[...enter, program, "--data-dir", folder],
      ...["--listen-client-urls", clients, "--advertise-client-urls", clients],
      ...["--listen-peer-urls", PEERS, "--initial-advertise-peer-urls", PEERS],
      ...["--initial-cluster", `default=${PEERS}`],
    ]);
    const etcd = new Etcd(server, enter, program.replace(/etcd$/, "etcdctl"), folder);
    try {
      await until("etcd serves", async () => {
        if (server.ended !== undefined) throw new Error(server.stderr);
        return (await etcd.ctl(["endpoint", "health"], false)) !== undefined;
      }, { interval: 200 });
      return etcd;
    } catch (error) {
      await etcd[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs etcdctl; returns what it says, or undefined where it failed and may. */
  async ctl(args: readonly string[], check = true): Promise<string | undefined> {
    const line = [...this.#enter, this.#etcdctl, "--endpoints", this.url, ...args];
    const { code, stdout } = await exec(line, { check, env: { ETCDCTL_API: "3" } });
    return code === 0 ? stdout : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true }).catch(() => {});
  }
}
