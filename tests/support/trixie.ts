/**
 * Debian 13 beside the machine's own Debian, for runtimes that are newer there: a root that debootstrap makes once, and a room in
 * which it takes the place of /.
 *
 * @module
 */
import { type CommandLine, exec, type ExecOptions, type Outcome, words } from "./exec.ts";
import { knetProgram } from "./host.ts";
import type { RuntimeRoom } from "./runtime_room.ts";
import { lacking } from "./runtime_room.ts";

const PACKAGES = ["podman", "netavark", "crun", "iproute2", "iputils-ping", "nftables"];
/** Where roots are kept; `KNET_MACHINES` names another folder. Raise the number when they have to be made anew. */
const ROOT = `${Deno.env.get("KNET_MACHINES") ?? "/var/cache/knet-machines"}/trixie-podman-1`;

/** Why there can be no such root here; undefined if there can. */
export function trixieProblem(): string | undefined {
  return lacking("debootstrap", "busybox");
}

/**
 * The root's path; it is made where there is none yet, which takes minutes.
 *
 * @throws {Error} if debootstrap fails, with what it said.
 */
export async function trixieRoot(): Promise<string> {
  try {
    await Deno.stat(ROOT);
    return ROOT;
  } catch {
    // Made below.
  }
  const half = `${ROOT}.${Deno.pid}`;
  try {
    await Deno.mkdir(half, { recursive: true });
    // What a package's script starts ends with its namespace.
    const spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    await exec([
      ...["unshare", ...spaces, "debootstrap", "--variant=minbase"],
      ...[`--include=${PACKAGES.join(",")}`, "trixie", half],
    ], { env: { LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" }, timeout: 900_000 });
    await Deno.rename(half, ROOT);
  } finally {
    await exec(["rm", "-rf", half]);
  }
  return ROOT;
}

/** Runs commands of the other Debian in a room. */
export type InTrixie = (line: CommandLine, options?: ExecOptions) => Promise<Outcome>;

/**
 * Lays the other Debian into a room. It sees the host's /run, the room's processes and control groups, and the program under test;
 * what it writes to /etc/containers, /var/lib/containers and /usr/local is the room's alone.
 */
export async function enterTrixie(room: RuntimeRoom, root: string): Promise<InTrixie> {
  const own = ["/etc/containers", "/etc/cni", "/var/lib/containers", "/usr/local", "/tmp"];
  const [program = ""] = knetProgram();
  const tree = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");
  // Links lead to other places.
  const seen = new Set([tree, program, await Deno.realPath(program), ...caches()]);
  await room.run([
    "sh",
    "-ec",
    // Runtimes make mounts of / private, which has to be one.
    `mount --bind ${root} ${root}
${own.map((path) => `mkdir -p ${root}${path}; mount -t tmpfs room ${root}${path}`).join("\n")}
for path in /run /proc /sys /dev; do mount --rbind $path ${root}$path; done
${
      [...seen].map((path) =>
        `if [ -d ${path} ]; then mkdir -p ${root}${path}
else mkdir -p "$(dirname ${root}${path})"; touch ${root}${path}; fi
mount --bind ${path} ${root}${path}`
      ).join("\n")
    }`,
  ]);
  return (line, options) => room.run(["chroot", root, ...words(line)], options);
}

/** What the sources need beside themselves to run. */
function caches(): string[] {
  if (Deno.env.get("KNET_BIN")) return [];
  const folder = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  return [folder];
}
