/**
 * What a guest boots from: the disk of a machine's image, and the script that becomes systemd on it.
 *
 * @module
 */
import { afterwards } from "../support/afterwards.ts";
import { exec } from "../support/exec.ts";

/**
 * Makes what a container's manager makes (systemd's CONTAINER_INTERFACE), and becomes systemd. Its arguments: the guest's folder, that of
 * the root file system, that of the packages.
 */
export const BOOT = `
cd "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay .
cd .
cd "$1/root"
mount -t proc proc proc
mount --bind proc/sys/net proc/sys/net
cat proc/sys/kernel/random/uuid > "$1/boot_id"
mount --rbind proc/sys proc/sys
mount --bind "$1/boot_id" proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  mknod -m 666 dev/$name c $(stat -c '%Hr %Lr' /dev/$name)
done
mkdir dev/net dev/pts dev/shm packages 2> /dev/null || true
mknod -m 666 dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
# The agent's unit has a /proc of its own, in which this computer's boot_id would be, the same after a reboot.
cp "$1/boot_id" run/boot_id
mkdir -p run/systemd/system/knet.service.d
printf '[Service]\\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\\n' \\
  > run/systemd/system/knet.service.d/boot_id.conf
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --bind "$3" packages
mkdir run/old
pivot_root . run/old
umount -l run/old
rmdir run/old
exec env -i container=tests PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  /sbin/init --log-target=journal < /dev/null > /dev/null 2>&1
`;

/** Mounts an image's disk where guests start from it. */
export async function mountBase(
  disk: string,
): Promise<AsyncDisposable & { readonly base: string }> {
  const base = await Deno.makeTempDir({ prefix: "knet-base-" });
  const end = afterwards(`umount '${base}'; rmdir '${base}'`);
  try {
    await exec(["mount", "-o", "ro,noload,loop", disk, base]);
  } catch (error) {
    await end[Symbol.asyncDispose]();
    throw error;
  }
  return { base, [Symbol.asyncDispose]: () => end[Symbol.asyncDispose]() };
}
