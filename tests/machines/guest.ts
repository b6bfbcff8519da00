/**
 * A Debian with systemd as process 1 in namespaces of this computer: the images of the machines, without a kernel of their own. It
 * boots in a second where an emulated machine takes minutes, and so it is for what systemd does, not for what kernels do: it has this
 * computer's kernel, with no control groups that bound memory and no /sys to write to.
 *
 * @module
 */
import { afterwards } from "../support/afterwards.ts";
import { exec, type Outcome } from "../support/exec.ts";
import { until } from "../support/wait.ts";
import { BOOT } from "./guest_boot.ts";
import type { Host } from "./host.ts";
import type { Segment } from "./segment.ts";

/** What a guest is. */
export interface GuestOptions {
  /** A folder with the root file system that it starts from, never written to. */
  readonly base: string;
  readonly segment: Segment;
  /** 1 to 9: guest 3 is `host3`, 192.168.77.13. */
  readonly number: number;
  /** A folder of this computer that it sees, read-only, as `/packages`. */
  readonly packages: string;
}

/** Seconds that systemd has to start and to stop. */
const PATIENCE = 60;
/** A hierarchy of the second version, beside those of the first or alone. */
const GROUPS = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/** Units that need a kernel of one's own, or would turn this computer's. */
const OTHERS = [
  ...["run-rpc_pipefs.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"],
  ...["systemd-udevd.service", "systemd-timesyncd.service"],
];

/** A Debian in namespaces. */
export class Guest implements Host {
  readonly name: string;
  readonly address: string;
  readonly #options: GuestOptions;
  readonly #folder: string;
  readonly #netns: string;
  readonly #group: string;
  readonly #files: AsyncDisposable;
  #end: AsyncDisposable | undefined;
  #outer: Deno.ChildProcess | undefined;
  #init = 0;

  private constructor(options: GuestOptions, folder: string, group: string) {
    const { segment, number } = options;
    this.name = `host${number}`;
    this.address = segment.address.replace(/\d+$/, String(10 + number));
    this.#options = options;
    this.#folder = folder;
    this.#netns = `${segment.netns}-${number}`;
    this.#group = `${group}/${this.#netns}`;
    // It is in use until the last process is gone.
    this.#files = afterwards(
      `while ip netns pids ${this.#netns} | grep -q .; do sleep 0.2; done; rm -rf '${folder}'`,
    );
  }

  /** Switches one on, and waits until it is up. */
  static async start(options: GuestOptions): Promise<Guest> {
    const folder = await Deno.makeTempDir({ prefix: "knet-guest-" });
    const guest = new Guest(options, folder, groups());
    try {
      for (const name of ["root", "upper", "work"]) await Deno.mkdir(`${folder}/${name}`);
      await guest.#writeFiles();
      await guest.#boot();
    } catch (error) {
      await guest[Symbol.asyncDispose]();
      throw error;
    }
    return guest;
  }

  /** Process 1, as this computer counts; 0 while it is off. */
  get init(): number {
    return this.#init;
  }

  /**
   * Runs a script of bash as root.
   *
   * @throws {Error} with its output if it fails.
   */
  async sh(script: string, options: { check?: boolean; timeout?: number } = {}): Promise<Outcome> {
    const line = ["nsenter", "-t", `${this.#init}`, "-a", "env", "-i", "HOME=/root"];
    const outcome = await exec(
      [...line, `PATH=${PATH}`, "LC_ALL=C.UTF-8", "bash", "-eu", "-o", "pipefail", "-c", script],
      { check: false, timeout: options.timeout ?? 120_000 },
    );
    if (options.check !== false && outcome.code !== 0) {
      const { code, stdout, stderr } = outcome;
      throw new Error(`${this.name}: ${script}: exit status ${code}\n${stdout}${stderr}`);
    }
    return outcome;
  }

  /** What a script printed, trimmed. */
  async read(script: string, timeout?: number): Promise<string> {
    return (await this.sh(script, timeout === undefined ? {} : { timeout })).stdout.trim();
  }

  /** Restarts it as an administrator does; its network devices are new ones then, as on any host. */
  async reboot(): Promise<void> {
    await this.sh("systemctl reboot", { check: false });
    await this.#off();
    await this.#boot();
  }

  /** Takes its current away for a moment. */
  async cutPower(): Promise<void> {
    await this.unplug();
    await this.#boot();
  }

  /** Takes its current away. */
  async unplug(): Promise<void> {
    Deno.kill(this.#init, "SIGKILL");
    await this.#off();
  }

  /** Gives it its current again. */
  async plug(): Promise<void> {
    await this.#boot();
  }

  async #boot(): Promise<void> {
    const { segment, base, packages, number } = this.#options;
    const [netns, wire] = [this.#netns, `g${number}`];
    // A process that ends with this one, for the namespaces; by then the guest's own are gone.
    this.#end = afterwards(`
      while ip netns pids ${netns} | grep -q .; do
        ip netns pids ${netns} | xargs -r kill -9; sleep 0.1
      done
      ip netns delete ${netns}
      find ${this.#group} -depth -type d -exec rmdir {} +`);
    await exec(["ip", "netns", "add", netns]);
    await segment.sh(
      `ip link add ${wire} type veth peer name enp0s4 address 02:00:00:77:00:1${number} netns ${netns}
       ip link set ${wire} master wire up`,
    );
    await Deno.mkdir(this.#group, { recursive: true });
    await Deno.writeTextFile(`${this.#folder}/boot`, BOOT);
    const spaces = ["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup"];
    const boot = `echo $$ > ${this.#group}/cgroup.procs; exec ip netns exec ${netns} ` +
      `unshare ${spaces.join(" ")} --propagation private ` +
      `sh -eu ${this.#folder}/boot ${this.#folder} ${base} ${packages}`;
    this.#outer = new Deno.Command("sh", {
      args: ["-euc", boot],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const said = new Response(this.#outer.stderr).text();
    let ended: string | undefined;
    this.#outer.status.then(async () => ended = await said);
    const { pid } = this.#outer;
    await until(`${this.name} is up`, async () => {
      if (ended !== undefined) return true;
      const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
      this.#init = Number(children.trim().split(" ")[0]);
      if (!this.#init || Deno.readTextFileSync(`/proc/${this.#init}/comm`) !== "systemd\n") {
        return false;
      }
      const { stdout } = await this.sh("systemctl is-system-running", { check: false });
      return /^(running|degraded)$/m.test(stdout);
    }, { deadline: PATIENCE * 1000, interval: 100 });
    if (ended !== undefined) throw new Error(`${this.name} does not start: ${ended}`);
  }

  /** Waits until it is off. */
  async #off(): Promise<void> {
    const late = setTimeout(() => Deno.kill(this.#init, "SIGKILL"), PATIENCE * 1000);
    await this.#outer?.status;
    clearTimeout(late);
    this.#outer = undefined;
    this.#init = 0;
    await this.#end?.[Symbol.asyncDispose]();
    this.#end = undefined;
    // By itself it goes when the kernel gets to the namespace, which a busy one does after any time.
    await this.#options.segment.sh(`
      wire=g${this.#options.number}
      ip link delete $wire 2> /dev/null || ! ip link show $wire 2> /dev/null`);
  }

  async #writeFiles(): Promise<void> {
    const { segment, number } = this.#options;
    const write = async (path: string, text: string) => {
      const full = `${this.#folder}/upper/${path}`;
      await Deno.mkdir(full.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(full, text);
    };
    await write("etc/hostname", `${this.name}\n`);
    await write("etc/machine-id", `${String(number).repeat(32)}\n`);
    await write("etc/fstab", "");
    const hosts = Array.from(
      { length: 9 },
      (_, i) => `${segment.address.replace(/\d+$/, String(11 + i))} host${i + 1}`,
    );
    await write(
      "etc/hosts",
      ["127.0.0.1 localhost", `${segment.address} db.internal`, ...hosts, ""].join("\n"),
    );
    const address = `${this.address}/${segment.prefixLength}`;
    await write(
      "etc/systemd/network/20-wire.network",
      `[Match]\nName=enp0s4\n[Network]\nAddress=${address}\nGateway=${segment.address}\n` +
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n",
    );
    for (const unit of OTHERS) {
      await Deno.mkdir(`${this.#folder}/upper/etc/systemd/system`, { recursive: true });
      await Deno.symlink("/dev/null", `${this.#folder}/upper/etc/systemd/system/${unit}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its processes end with the one that waits for process 1.
    try {
      this.#outer?.kill("SIGKILL");
    } catch {
      // It ended by itself.
    }
    await this.#outer?.status;
    await this.#end?.[Symbol.asyncDispose]();
    await this.#files[Symbol.asyncDispose]();
  }
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function groups(): string {
  for (const path of GROUPS) {
    try {
      Deno.statSync(`${path}/cgroup.procs`);
      return path;
    } catch {
      // The other one.
    }
  }
  throw new Error("this computer has no control groups of the second version");
}
