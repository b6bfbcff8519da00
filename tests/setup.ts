/**
 * Installs what tests and demo need and the machine lacks: by apt, when that is there and we are root.
 *
 * `deno run -A tests/setup.ts` does it by itself; `deno task test` and `deno task demo` call it.
 *
 * @module
 */
import { ipvsHere, newestKernel } from "./support/vm_initrd.ts";

/** A package and how to see that it is there. */
interface Need {
  readonly package: string;
  readonly present: () => boolean;
  /** Needed for the demo, too. */
  readonly demo?: true;
  /** Needed for benchmarks only. */
  readonly bench?: true;
  /** Needed for machines of their own only. */
  readonly machines?: true;
}

/** Debian's libraries for programs of another processor. */
const ARM64 = "/usr/aarch64-linux-gnu/lib";

const NEEDS: readonly Need[] = [
  { package: "iproute2", present: () => command("ip") && command("bridge"), demo: true },
  { package: "iputils-ping", present: () => command("ping"), demo: true },
  { package: "util-linux", present: () => command("nsenter") && command("unshare"), demo: true },
  { package: "procps", present: () => command("sysctl") },
  { package: "libnl-3-200", present: () => library("libnl-3.so.200"), demo: true },
  { package: "libnl-route-3-200", present: () => library("libnl-route-3.so.200"), demo: true },
  { package: "libnl-genl-3-200", present: () => library("libnl-genl-3.so.200"), demo: true },
  { package: "libnftables1", present: () => library("libnftables.so.1"), demo: true },
  { package: "libdqlite0", present: () => library("libdqlite.so.0"), demo: true },
  { package: "libnl-route-3-dev", present: () => file("/usr/include/libnl3/netlink/route/link.h") },
  { package: "libnl-genl-3-dev", present: () => file("/usr/include/libnl3/netlink/genl/genl.h") },
  { package: "nftables", present: () => command("nft") },
  { package: "iptables", present: () => command("iptables") },
  { package: "tcpdump", present: () => command("tcpdump") },
  { package: "faketime", present: () => command("faketime") },
  { package: "strace", present: () => command("strace") },
  { package: "systemd", present: () => command("systemd-analyze") },
  { package: "gcc", present: () => command("gcc") },
  { package: "libc6-dev", present: () => file("/usr/include/stdio.h") },
  { package: "postgresql", present: postgres },
  { package: "pgbouncer", present: () => command("pgbouncer") },
  { package: "ipvsadm", present: () => command("ipvsadm") },
  { package: "perl-base", present: () => command("perl") },
  { package: "kmod", present: () => command("modprobe") },
  // Another kernel, for what this one lacks.
  { package: "qemu-system-x86", present: () => x86Only(() => command("qemu-system-x86_64")) },
  { package: "linux-image-amd64", present: () => x86Only(() => newestKernel() !== undefined) },
  // What containers are made of, and by.
  { package: "busybox-static", present: () => file("/bin/busybox") },
  { package: "docker.io", present: () => command("dockerd") && command("containerd") },
  { package: "podman", present: () => command("podman") },
  { package: "systemd-container", present: () => command("systemd-nspawn") },
  { package: "containernetworking-plugins", present: () => file("/usr/lib/cni/portmap") },
  // What packages are made and judged with, and what starts programs for another processor.
  { package: "rpm", present: () => command("rpmbuild") },
  { package: "lintian", present: () => command("lintian") },
  { package: "qemu-user-static", present: () => command("qemu-aarch64-static") },
  { package: "libc6-arm64-cross", present: () => x86Only(() => file(`${ARM64}/libc.so.6`)) },
  {
    package: "libgcc-s1-arm64-cross",
    present: () => x86Only(() => file(`${ARM64}/libgcc_s.so.1`)),
  },
  { package: "zsh", present: () => command("zsh") },
  { package: "fish", present: () => command("fish") },
  { package: "curl", present: () => command("curl") },
  { package: "openssl", present: () => command("openssl") },
  {
    package: "user-mode-linux",
    present: () => x86Only(() => command("linux.uml")),
    bench: true,
  },
  { package: "time", present: () => command("time"), bench: true },
  { package: "iperf3", present: () => command("iperf3"), bench: true },
  { package: "debootstrap", present: () => command("debootstrap"), machines: true },
  { package: "e2fsprogs", present: () => command("mkfs.ext4"), machines: true },
];

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Root's directories are missing from many users' PATH, and some of what we need lies there. */
export function usePathOfRoot(): void {
  const path = new Set([...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM_PATH.split(":")]);
  Deno.env.set("PATH", [...path].filter((part) => part !== "").join(":"));
}

/**
 * Installs what is missing. Never fails: what could not be installed is said once, and the tests that
 * need it say that they are skipped.
 *
 * @returns names of the packages that are still missing.
 */
export async function setUp(
  purpose: "demo" | "test" | "bench" | "machines",
): Promise<string[]> {
  usePathOfRoot();
  const needs = NEEDS.filter((need) =>
    purpose === "demo"
      ? need.demo
      : (purpose === "bench" || !need.bench) && (purpose === "machines" || !need.machines)
  );
  const missing = () => needs.filter((need) => !need.present()).map((need) => need.package);
  const packages = missing();
  if (packages.length === 0) return [];
  if (Deno.uid() !== 0) {
    console.error(`setup: not root, so these are not installed: ${packages.join(" ")}`);
    return packages;
  }
  if (!command("apt-get")) {
    console.error(
      `setup: there is no apt-get; install by hand what these hold: ${packages.join(" ")}`,
    );
    return packages;
  }
  console.error(`setup: installing ${packages.join(" ")}`);
  using _quiet = startNoServices();
  const failure = await apt(["update"]) ??
    await apt(["install", "--yes", "--no-install-recommends", ...packages]);
  if (failure !== undefined) console.error(`setup: ${failure}`);
  return missing();
}

/** Keeps packages from starting what they bring: Docker's daemon would rearrange this machine's firewall. */
function startNoServices(): Disposable {
  const policy = "/usr/sbin/policy-rc.d";
  if (file(policy)) return { [Symbol.dispose]: () => {} };
  Deno.writeTextFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  return { [Symbol.dispose]: () => Deno.removeSync(policy) };
}

async function apt(args: string[]): Promise<string | undefined> {
  const { code, stdout, stderr } = await new Deno.Command("apt-get", {
    args: ["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (code === 0) return undefined;
  const decoder = new TextDecoder();
  return `apt-get ${args[0]} failed:\n${decoder.decode(stdout)}${decoder.decode(stderr)}`;
}

function file(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function command(name: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((part) => file(`${part}/${name}`));
}

function x86Only(present: () => boolean): boolean {
  return Deno.build.arch !== "x86_64" || ipvsHere() || present();
}

function library(name: string): boolean {
  const { arch } = Deno.build;
  const directories = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"];
  for (const base of ["/lib", "/usr/lib"]) directories.push(`${base}/${arch}-linux-gnu`);
  return directories.some((directory) => file(`${directory}/${name}`));
}

function postgres(): boolean {
  try {
    return [...Deno.readDirSync("/usr/lib/postgresql")].some(({ name }) =>
      file(`/usr/lib/postgresql/${name}/bin/initdb`)
    );
  } catch {
    return false;
  }
}

if (import.meta.main) Deno.exit((await setUp("test")).length === 0 ? 0 : 1);
