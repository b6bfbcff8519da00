/**
 * How a host of the lab comes to be: what it is made of, and the script that makes it.
 *
 * @module
 */
import type { BackendCase } from "./backend.ts";
import { mountOver, placesOfTests } from "./mount_over.ts";

/** What a host is made of. */
export interface HostOptions {
  /** `h1`. */
  readonly name: string;
  /** Name of its network namespace on the machine. */
  readonly netns: string;
  /** Underlay address. */
  readonly address: string;
  /** Address of the underlay's router. */
  readonly router: string;
  /** Directory on the machine with the shared database, seen by the host at /run/shared. */
  readonly shared: string;
  /** Store URL as the host says it. */
  readonly storeUrl: string;
  /** Addresses of hosts to join by, where the hosts hold the store themselves; none for the first. */
  readonly seeds?: () => readonly string[];
  /** What the cluster runs. */
  readonly backend: BackendCase;
  /** 32 hexadecimal digits; the default is random. */
  readonly machineId?: string;
  /** A directory that takes the place of / for knet (not for the tools of the test). */
  readonly root?: string;
}

/**
 * The shell script that keeps the host's mount namespace: it ends with the test process, whose pipe it reads.
 *
 * A minimal system has no /etc/machine-id that another could be mounted over: the host has a copy of /etc then.
 */
export function holderScript(options: HostOptions, machineId: string): string {
  const root = options.root;
  return `set -e
${mountOver("/run", placesOfTests(), { options: "mode=755" }).join("\n")}
mkdir -p /run/netns /run/host/data /run/shared /run/lock
chmod 700 /run/host/data
mount --bind /run/netns /run/netns && mount --make-shared /run/netns
mount --bind ${options.shared} /run/shared
echo ${machineId} > /run/host/machine-id
cat /proc/sys/kernel/random/uuid > /run/host/boot-id
mount --bind /run/host/boot-id /proc/sys/kernel/random/boot_id
if [ ! -e /etc/machine-id ]; then
  cp -a /etc /run/host/etc
  touch /run/host/etc/machine-id
  mount --bind /run/host/etc /etc
fi
mount --bind /run/host/machine-id /etc/machine-id
echo ${options.name} > /proc/sys/kernel/hostname
${
    root === undefined ? "" : `mount -t tmpfs -o mode=1777,noexec knet-lab ${root}/tmp
mount --rbind /run ${root}/run
mount --rbind /proc ${root}/proc
mount --rbind /sys ${root}/sys
mount --rbind /dev ${root}/dev
cp /run/host/machine-id ${root}/etc/machine-id`
  }
ip link set lo up
ip addr add ${options.address}/24 dev eth0
ip link set eth0 up
ip route add default via ${options.router}
echo ready
exec cat > /dev/null`;
}
