/**
 * What the virtual machine boots: a kernel of the distribution, and an initrd of busybox and the few modules that mount the root.
 *
 * @module
 */
import { exec } from "./exec.ts";

/** A kernel and its modules. */
export interface Kernel {
  readonly version: string;
  /** Path of the bootable image. */
  readonly image: string;
  /** Folder of its modules. */
  readonly modules: string;
}

const BUSYBOX = "/bin/busybox";
/** Modules that the guest needs before it has a root; those that they need come with them. */
const NEEDED = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/** The newest kernel in /boot that has modules. */
export function newestKernel(): Kernel | undefined {
  const versions = names("/boot").filter((name) => name.startsWith("vmlinuz-"))
    .map((name) => name.slice("vmlinuz-".length))
    .filter((version) => names("/lib/modules").includes(version))
    .sort(new Intl.Collator("en", { numeric: true }).compare);
  const version = versions.at(-1);
  if (version === undefined) return undefined;
  return { version, image: `/boot/vmlinuz-${version}`, modules: `/lib/modules/${version}` };
}

/** Whether the running kernel has IPVS, now or as a module, so that nothing here is needed. */
export function ipvsHere(): boolean {
  if (names("/proc/net").includes("ip_vs")) return true;
  try {
    const modprobe = new Deno.Command("modprobe", { args: ["-q", "ip_vs"], stderr: "null" });
    return modprobe.outputSync().success;
  } catch {
    return false;
  }
}

/** Why no initrd can be made; undefined if one can. */
export function initrdProblem(): string | undefined {
  if (newestKernel() === undefined) {
    return "needs a kernel in /boot with its modules (package linux-image-amd64)";
  }
  return names("/bin").includes("busybox") ? undefined : "needs busybox (package busybox-static)";
}

/**
 * The modules to insert, those before that others need.
 *
 * @param dependencies text of modules.dep.
 * @param wanted names; one that is not there is taken for built into the kernel.
 * @returns paths below the folder of modules.
 */
export function moduleOrder(dependencies: string, wanted: readonly string[]): string[] {
  const needs = new Map<string, string[]>();
  const paths = new Map<string, string>();
  for (const line of dependencies.split("\n")) {
    const [path, rest] = line.split(":");
    if (path === undefined || rest === undefined) continue;
    needs.set(path, rest.split(" ").filter((part) => part !== ""));
    paths.set(path.replace(/^.*\//, "").replace(/\.ko.*$/, ""), path);
  }
  const order: string[] = [];
  const insert = (path: string) => {
    if (order.includes(path)) return;
    for (const need of needs.get(path) ?? []) insert(need);
    order.push(path);
  };
  for (const name of wanted) {
    const path = paths.get(name);
    if (path !== undefined) insert(path);
  }
  return order;
}

/**
 * Writes an initrd that mounts this machine's root under an overlay in memory, the exchange folder at `share`, and runs `run` in it.
 */
export async function makeInitrd(path: string, kernel: Kernel, share: string): Promise<void> {
  const folder = `${path}.d`;
  for (const name of ["bin", "m", "proc", "lower", "memory", "root"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
  }
  await Deno.copyFile(BUSYBOX, `${folder}/bin/busybox`);
  const dependencies = await Deno.readTextFile(`${kernel.modules}/modules.dep`);
  const inserts: string[] = [];
  for (const module of moduleOrder(dependencies, NEEDED)) {
    const name = module.replace(/^.*\//, "").replace(/\.(xz|zst|gz)$/, "");
    await copyModule(`${kernel.modules}/${module}`, `${folder}/m/${name}`);
    inserts.push(`/bin/busybox insmod /m/${name}`);
  }
  const options = "trans=virtio,version=9p2000.L,msize=1048576";
  const init = [
    "#!/bin/busybox sh",
    ...inserts,
    // No one else writes what the guest reads, or what is changed is what the test does not read.
    `/bin/busybox mount -t 9p -o ro,${options},cache=loose root /lower`,
    "/bin/busybox mount -t tmpfs -o size=60% tmpfs /memory",
    "/bin/busybox mkdir /memory/upper /memory/work",
    "/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work overlay /root",
    `/bin/busybox mkdir -p /root${share}`,
    // Without a cache, so that what was written is outside at once.
    `/bin/busybox mount -t 9p -o ${options} share /root${share}`,
    // Before the change of root: busybox runs itself by /proc/self/exe, and in the shared root that is the outside's QEMU.
    "/bin/busybox mount -t proc proc /root/proc",
    "/bin/busybox mount -t sysfs sysfs /root/sys",
    "/bin/busybox mount -t devtmpfs devtmpfs /root/dev",
    `exec /bin/busybox switch_root /root /bin/busybox sh ${share}/run`,
  ];
  await Deno.writeTextFile(`${folder}/init`, init.join("\n") + "\n", { mode: 0o755 });
  await Deno.chmod(`${folder}/bin/busybox`, 0o755);
  const pack = `cd '${folder}' && ${BUSYBOX} find . | ${BUSYBOX} cpio -o -H newc > '${path}'`;
  await exec(["sh", "-c", pack]);
  await Deno.remove(folder, { recursive: true });
}

async function copyModule(from: string, to: string): Promise<void> {
  const unpack = from.endsWith(".xz") ? "xz" : from.endsWith(".zst") ? "zstd" : undefined;
  if (unpack === undefined) return await Deno.copyFile(from, to);
  await exec(["sh", "-c", `${unpack} -dc '${from}' > '${to}'`]);
}

function names(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch {
    return [];
  }
}
