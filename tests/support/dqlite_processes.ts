/**
 * Hosts with a replica each in a process of its own, that can be killed, frozen and cut off.
 *
 * @module
 */
import { sleep } from "../../core/base/clock.ts";
import { wayByDoor } from "../../core/store/dqlite/door.ts";
import { dqliteEngine } from "../../core/store/dqlite/engine.ts";
import { readIdentity, readMembersFile } from "../../core/store/dqlite/identity.ts";
import { LeaderFinder } from "../../core/store/dqlite/leader.ts";
import { answers } from "../../core/store/dqlite/member_watch.ts";
import type { Member } from "../../core/store/dqlite/wire.ts";
import type { Engine } from "../../core/store/engine.ts";

const SCRIPT = new URL("./dqlite_host.ts", import.meta.url).pathname;

/** A host's process. */
export interface HostProcess {
  readonly name: string;
  readonly pid: number;
  /** What it complained of. */
  said(): string;
  kill(): Promise<void>;
  /** Stops it where it is. */
  freeze(): void;
  thaw(): void;
}

/** Hosts in a folder. */
export class HostProcesses implements AsyncDisposable {
  readonly folder: string;
  readonly running = new Map<string, HostProcess>();
  readonly #engines: Engine[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** So many hosts that vote (`a`, `b`, …); the first one began. */
  static async start(count: number, options: readonly string[] = []): Promise<HostProcesses> {
    const made = new HostProcesses(await Deno.makeTempDir({ prefix: "knet-dqlite-" }));
    for (const name of "abcdefgh".slice(0, count)) await made.host(name, options);
    await made.untilVoters("a", Math.min(count, 3));
    return made;
  }

  /** Starts a host, which joins by the first one that runs; it is a member when this returns. */
  async host(name: string, options: readonly string[] = []): Promise<HostProcess> {
    const [seed] = this.running.keys();
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check", SCRIPT, this.folder, name],
        ...(seed === undefined
          ? []
          : [`--seed=${readIdentity(`${this.folder}/${seed}`)!.address}`]),
        ...options,
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let said = "";
    const logged = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) said += text;
    })();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    if (value === undefined) {
      await logged;
      throw new Error(said);
    }
    const made: HostProcess = {
      name,
      pid: child.pid,
      said: () => said,
      kill: async () => {
        this.running.delete(name);
        child.kill("SIGKILL");
        await child.status;
        await reader.cancel();
        await logged;
      },
      freeze: () => child.kill("SIGSTOP"),
      thaw: () => child.kill("SIGCONT"),
    };
    this.running.set(name, made);
    return made;
  }

  /** Kills a host. */
  async kill(name: string): Promise<void> {
    await this.running.get(name)!.kill();
  }

  /** Drops silently what comes from a host and what goes to it, or lets it through again. */
  cut(name: string, off: boolean): void {
    const path = `${this.folder}/${name}.cut`;
    if (off) Deno.writeTextFileSync(path, "");
    else Deno.removeSync(path);
  }

  /**
   * The store as a program on a host sees it.
   *
   * @param deadline Milliseconds.
   */
  engine(name: string, deadline = 5000): Engine {
    const made = dqliteEngine(wayByDoor(`${this.folder}/${name}`), deadline);
    this.#engines.push(made);
    return made;
  }

  /** The members as a host saw them last. */
  members(name: string): Member[] {
    return readMembersFile(`${this.folder}/${name}`);
  }

  /** Waits until so many vote, as a host sees it. */
  async untilVoters(name: string, count: number, seconds = 30): Promise<void> {
    await this.until(
      () => this.members(name).filter(({ role }) => role === "voter").length === count,
      `${count} vote`,
      seconds,
    );
  }

  /** Waits until something is. */
  async until(
    is: () => boolean | Promise<boolean>,
    what: string,
    seconds = 30,
  ): Promise<void> {
    const until = performance.now() + seconds * 1000;
    while (!await is()) {
      if (performance.now() > until) {
        throw new Error(`Not after ${seconds} s: ${what}: ${this.#state()}`);
      }
      await sleep(50);
    }
  }

  #state(): string {
    return JSON.stringify([...this.running.keys()].map((name) => [name, this.members(name)]));
  }

  /** The name of the host that leads, as one of them says. */
  async leader(from: string): Promise<string> {
    const finder = new LeaderFinder(wayByDoor(`${this.folder}/${from}`));
    using connection = await finder.connect(performance.now() + 10_000);
    const leader = await connection.within(2000, () => connection.leader());
    return leader!.address.split("/")[0]!;
  }

  /** Whether a host's node answers. */
  answers(name: string): Promise<boolean> {
    return answers(wayByDoor(`${this.folder}/${name}`), "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#engines.map((engine) => engine.close()));
    for (const host of this.running.values()) await host.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}
