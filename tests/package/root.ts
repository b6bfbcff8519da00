/**
 * A machine to install packages on: this one's own system, in namespaces of its own, with a file system over it that forgets
 * what is written. Its `systemctl` writes down what it is asked, and does nothing: systemd is not process 1 there.
 *
 * @module
 */
import { Background, exec, type Outcome } from "../support/exec.ts";
import { mountOver } from "../support/mount_over.ts";
import { until } from "../support/wait.ts";

/** Directories that packages write to. */
const WRITABLE = ["/etc", "/usr", "/var", "/root"];

/** What was asked of systemctl, a line a call. */
const ASKED = "/run/asked";

const SCRIPT = [
  "set -e",
  ...mountOver("/run"),
  ...WRITABLE.map((place) => {
    const layers = `/run/layers${place}`;
    return `mkdir -p ${layers}/up ${layers}/work; mount -t overlay -o ` +
      `lowerdir=${place},upperdir=${layers}/up,workdir=${layers}/work knet-package ${place}`;
  }),
  "mount -t proc proc /proc",
  "ip link set lo up",
  "rm -rf /etc/knet /etc/default/knet /var/lib/knet /usr/sbin/policy-rc.d",
  "mkdir -p /run/systemd/system",
  // Nobody here waits for the disk, or reads the index of the manual pages.
  "rm -f /var/lib/man-db/auto-update; echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/knet-package",
  `printf '#!/bin/sh\\necho "$*" >> ${ASKED}\\n' > /run/systemctl`,
  // Where a process of the tests has a file of the package open, "text file busy" would come of writing into it.
  "rm -f /usr/bin/systemctl /usr/bin/udevadm",
  "install -m 755 /run/systemctl /usr/bin/systemctl",
  "ln -s /bin/true /usr/bin/udevadm",
  "echo ready",
  "read -r end || true",
].join("\n");

/** The machine. */
export class ForgetfulRoot implements AsyncDisposable {
  readonly #init: Background;

  private constructor(init: Background) {
    this.#init = init;
  }

  /** Starts it. */
  static async create(): Promise<ForgetfulRoot> {
    const spaces = ["--mount", "--net", "--pid", "--uts", "--fork", "--kill-child"];
    const init = new Background(["unshare", ...spaces, "bash", "-c", SCRIPT]);
    await until("the machine is ready", () => {
      if (init.ended !== undefined) throw new Error(init.stderr);
      return init.stdout.includes("ready");
    });
    return new ForgetfulRoot(init);
  }

  /**
   * Runs a script of bash.
   *
   * @throws {Error} with its output if it fails.
   */
  async sh(script: string): Promise<Outcome> {
    const space = `/proc/${this.#init.pid}/ns`;
    const enter = ["mnt", "net", "uts"].map((name) =>
      `--${name === "mnt" ? "mount" : name}=${space}/${name}`
    );
    enter.push(`--pid=${space}/pid_for_children`);
    return await exec(["nsenter", ...enter, "bash", "-eu", "-o", "pipefail", "-c", script], {
      env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C", NO_COLOR: "1" },
      timeout: 120_000,
    });
  }

  /** What the script printed, trimmed. */
  async read(script: string): Promise<string> {
    return (await this.sh(script)).stdout.trim();
  }

  /** What systemctl was asked since the last look. */
  async asked(): Promise<string[]> {
    const text = await this.read(`touch ${ASKED}; cat ${ASKED}; rm ${ASKED}`);
    return text === "" ? [] : text.split("\n").map((line) => line.replace(/--quiet /, ""));
  }

  /** All files that were written and are still there, and the folders of knet's; without the package manager's own. */
  async files(): Promise<Set<string>> {
    const text = await this.read(
      `cd /run/layers; find */up ! -type c \\( ! -type d -o -name '*knet*' \\) ! -path 'var/up/lib/dpkg/*' ! -path '*/dpkg.log'`,
    );
    return new Set(text.split("\n").map((path) => `/${path.replace("/up/", "/")}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#init[Symbol.asyncDispose]();
  }
}
