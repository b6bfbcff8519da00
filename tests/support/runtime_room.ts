/**
 * Where a container runtime of the real kind runs on a host of the lab: processes, mounts and control groups of its own, so that its
 * containers end with it, and its own /etc, so that it finds there what the test put.
 *
 * @module
 */
import {
  Background,
  type CommandLine,
  exec,
  type ExecOptions,
  type Outcome,
  words,
} from "./exec.ts";
import type { Host } from "./host.ts";
import { until } from "./wait.ts";

/** The image's name. */
export const IMAGE = "walk";

const APPLETS = [
  "sh",
  "cat",
  "dd",
  "httpd",
  "ip",
  "nslookup",
  "ping",
  "sleep",
  "true",
  "wc",
  "wget",
];

/** Folders that each room has for itself. */
const OWN = ["/etc/docker", "/etc/cni", "/etc/containers", "/var/lib/cni", "/var/lib/containers"];

/** A room for a runtime. */
export class RuntimeRoom implements AsyncDisposable {
  readonly host: Host;
  readonly #holder: Background;
  readonly #pid: string;

  private constructor(host: Host, holder: Background, pid: string) {
    this.host = host;
    this.#holder = holder;
    this.#pid = pid;
  }

  /** @throws {Error} if the machine does not let it be: no right to mount control groups, for one. */
  static async create(host: Host): Promise<RuntimeRoom> {
    const script = `set -e
mkdir -p ${OWN.join(" ")}
for folder in ${OWN.join(" ")}; do mount -t tmpfs room $folder; done
mount -t cgroup2 room /sys/fs/cgroup
mount --bind /run/host/boot-id /proc/sys/kernel/random/boot_id
echo ready
while sleep 1000; do :; done`;
    const room = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"];
    const holder = host.spawn([...room, "--propagation", "unchanged", "sh", "-c", script]);
    await until(`${host.name} has a room for a runtime`, () => {
      if (holder.ended === undefined) return holder.stdout.includes("ready");
      return true;
    });
    if (holder.ended !== undefined) throw new Error(holder.stderr.trim());
    const { stdout } = await exec(["ps", "-o", "pid=", "--ppid", `${holder.pid}`]);
    return new RuntimeRoom(host, holder, stdout.trim());
  }

  get #enter(): string[] {
    return ["nsenter", "-t", this.#pid, "-n", "-m", "-u", "-p", "--"];
  }

  /** Runs a command. */
  run(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    return exec([...this.#enter, ...words(line)], options);
  }

  /** Starts a command. */
  spawn(line: CommandLine, options: { env?: Record<string, string> } = {}): Background {
    return this.host.keep(new Background([...this.#enter, ...words(line)], options));
  }

  /** Runs a knet command of the host among the room's files and processes. */
  knet(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
    const wrapper = ["nsenter", "-t", this.#pid, "-m", "-p", "--"];
    return this.host.knet(line, { ...options, wrapper });
  }

  /** A file as the test process can open it. */
  path(file: string): string {
    return `/proc/${this.#pid}/root${file}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]();
  }
}

/** Makes an image of busybox in a folder; returns the path of its tar. */
export async function makeImage(folder: string): Promise<string> {
  const root = `${folder}/image`;
  for (const name of ["bin", "etc", "tmp", "www"]) {
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
  }
  await Deno.copyFile("/bin/busybox", `${root}/bin/busybox`);
  for (const name of APPLETS) await Deno.symlink("busybox", `${root}/bin/${name}`);
  await Deno.writeTextFile(`${root}/www/index.html`, "hello\n");
  await exec(["tar", "-C", root, "-cf", `${folder}/image.tar`, "."]);
  return `${folder}/image.tar`;
}

/** Which of these commands the machine lacks; undefined if none. */
export function lacking(...commands: readonly string[]): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  const missing = commands.filter((name) => !folders.some((folder) => exists(`${folder}/${name}`)));
  return missing.length === 0 ? undefined : `needs ${missing.join(", ")}`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A container of a host's book of addresses. */
export interface BookEntry {
  readonly name?: string;
  readonly address: string;
  /** Absent: attached by hand. */
  readonly runtime?: string;
  readonly network?: string;
}

/** What a host's book of addresses has of runtimes' containers. */
export function runtimesBook(host: Host): BookEntry[] {
  const text = Deno.readTextFileSync(host.path("/run/host/data/containers.json"));
  const { containers } = JSON.parse(text) as { containers: BookEntry[] };
  return containers.filter(({ runtime }) => runtime !== undefined);
}
