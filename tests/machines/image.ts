/**
 * The disks that machines of the tests start from: a Debian as its own tools install it, on ext4, with the stock kernel and all that
 * the tests meet on real hosts. An image is made once, with debootstrap, and kept in a folder outside of the tree.
 *
 * @module
 */
import { exec } from "../support/exec.ts";
import { moduleOrder } from "../support/vm_initrd.ts";

/** A release of Debian, and what it is called. */
export const RELEASES = { "12": "bookworm", "13": "trixie" } as const;
/** Number of a release. */
export type Release = keyof typeof RELEASES;

/** What a machine boots. */
export interface Image {
  /** Raw disk with ext4 on it, never written to. */
  readonly disk: string;
  /** The release's kernel. */
  readonly kernel: string;
  /** Mounts the disk, puts a machine's own files on it, and starts systemd. */
  readonly initrd: string;
}

/** Where images are kept; `KNET_MACHINES` names another folder. */
export const CACHE = Deno.env.get("KNET_MACHINES") ?? "/var/cache/knet-machines";

/** A server has these; what would take the network's configuration over is not enabled. */
const PACKAGES = [
  ...["linux-image-amd64", "systemd-sysv", "udev", "dbus", "kmod", "procps"],
  ...["iproute2", "iputils-ping", "nftables", "iptables", "ipvsadm", "tcpdump", "curl", "jq"],
  ...["libnl-3-200", "libnl-route-3-200", "libnl-genl-3-200", "libnftables1", "less", "man-db"],
  ...["ifupdown", "network-manager", "firewalld", "ufw", "nfs-kernel-server", "nfs-common"],
  ...["systemd-container", "perl-base", "netbase", "bash-completion", "busybox-static"],
];

/** Services that come enabled and wait for the test that is theirs. */
const ASLEEP = [
  ...["NetworkManager", "NetworkManager-wait-online", "NetworkManager-dispatcher", "firewalld"],
  ...["ufw", "networking", "nfs-server", "nftables", "rpcbind", "apt-daily.timer"],
  ...[
    "apt-daily-upgrade.timer",
    "man-db.timer",
    "fstrim.timer",
    "e2scrub_reap",
    "e2scrub_all.timer",
  ],
  ...["dpkg-db-backup.timer", "nfs-blkmap", "rpcbind.socket"],
];

/** Modules that reach the disk; the rest the machine loads itself. */
const DISK_MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

const IN_CHROOT = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Raise it when images have to be made anew. */
const EDITION = 1;

/**
 * An image of a release, made where there is none yet.
 *
 * @throws {Error} if debootstrap or apt fail, with what they said.
 */
export async function imageOf(release: Release, say: (text: string) => void): Promise<Image> {
  const folder = `${CACHE}/debian-${release}-${EDITION}`;
  const image = {
    disk: `${folder}/disk`,
    kernel: `${folder}/vmlinuz`,
    initrd: `${folder}/initrd`,
  };
  if (await exists(folder)) return image;
  say(`making an image of Debian ${release} in ${folder}, once; it takes minutes`);
  await Deno.mkdir(CACHE, { recursive: true });
  const work = await Deno.makeTempDir({ dir: CACHE, prefix: "making-" });
  try {
    await Deno.writeTextFile(`${work}/make`, makingScript(release));
    // What a package's script starts ends with its namespace.
    const spaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    await exec(["unshare", ...spaces, "bash", "-eu", "-o", "pipefail", `${work}/make`, work], {
      env: { LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
      timeout: 1_800_000,
    });
    await Deno.mkdir(`${work}/image`);
    await Deno.rename(`${work}/disk`, `${work}/image/disk`);
    await Deno.copyFile(`${work}/kernel`, `${work}/image/vmlinuz`);
    await makeDiskInitrd(work, `${work}/image/initrd`);
    await Deno.rename(`${work}/image`, folder);
  } finally {
    await exec(["rm", "-rf", work]);
  }
  return image;
}

/** Makes `root`, and of it `disk`, `kernel` and `modules`, in the folder that is its argument. */
function makingScript(release: Release): string {
  return `
cd "$1"
said() { "$@" >> said 2>&1 || { tail -n 30 said >&2; exit 1; }; }
said debootstrap --variant=minbase --include=ca-certificates ${RELEASES[release]} root
cat > root/usr/sbin/policy-rc.d <<'NO'
#!/bin/sh
exit 101
NO
chmod 755 root/usr/sbin/policy-rc.d
echo force-unsafe-io > root/etc/dpkg/dpkg.cfg.d/making
# The kernel's own initrd is not used, and takes as long as all the rest. apt gives scripts a PATH of its own.
printf '#!/bin/sh\\n' > root/usr/local/bin/update-initramfs
chmod 755 root/usr/local/bin/update-initramfs
cp /etc/resolv.conf root/etc/resolv.conf
mount -t proc proc root/proc
mount --rbind /dev root/dev
said chroot root apt-get -q -y -o Acquire::Retries=3 -o DPkg::Path=${IN_CHROOT} install --no-install-recommends ${
    PACKAGES.join(" ")
  }
said chroot root systemctl disable ${ASLEEP.join(" ")}
said chroot root systemctl enable systemd-networkd
said chroot root passwd -d root
umount -l root/dev root/proc
rm -rf root/usr/sbin/policy-rc.d root/etc/dpkg/dpkg.cfg.d/making root/usr/local/bin/update-initramfs
rm -rf root/var/cache/apt/archives/*.deb root/var/lib/apt/lists/* root/boot/initrd*
rm -f root/etc/resolv.conf root/etc/machine-id root/etc/hostname root/etc/network/interfaces
touch root/etc/machine-id
cp root/boot/vmlinuz-* kernel
modules=$(echo root/lib/modules/*)
cp "$modules/modules.dep" .
mkdir modules
cp -r "$modules/kernel" modules/kernel
truncate -s 6G disk
said mkfs.ext4 -q -F -L root -E lazy_itable_init=1,nodiscard -d root disk
`;
}

/** An initrd that takes `/files` of the one that follows it onto the root at a disk's first start, and runs `/etc/first-start`. */
async function makeDiskInitrd(work: string, path: string): Promise<void> {
  const folder = `${work}/initrd.d`;
  for (const name of ["bin", "m", "proc", "dev", "root", "files"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
  }
  await Deno.copyFile("/bin/busybox", `${folder}/bin/busybox`);
  const inserts: string[] = [];
  for (const module of moduleOrder(await Deno.readTextFile(`${work}/modules.dep`), DISK_MODULES)) {
    const name = module.replace(/^.*\//, "").replace(/\.xz$/, "");
    const from = `${work}/modules/${module}`;
    if (from.endsWith(".xz")) await exec(["sh", "-c", `xz -dc '${from}' > '${folder}/m/${name}'`]);
    else await Deno.copyFile(from, `${folder}/m/${name}`);
    inserts.push(`insmod /m/${name}`);
  }
  const init = [
    "#!/bin/busybox sh",
    "/bin/busybox --install /bin",
    "export PATH=/bin",
    ...inserts,
    "mount -t devtmpfs devtmpfs /dev",
    "mount -t ext4 /dev/vda /root",
    "[ -e /root/etc/first-start ] || { cp -a /files/. /root/; chroot /root sh /etc/first-start; }",
    "umount /dev",
    "exec switch_root /root /sbin/init",
  ];
  await Deno.writeTextFile(`${folder}/init`, init.join("\n") + "\n", { mode: 0o755 });
  await Deno.chmod(`${folder}/bin/busybox`, 0o755);
  await pack(folder, path);
}

/** Packs a folder as the kernel unpacks it; packs that follow each other are unpacked over each other. */
export async function pack(folder: string, path: string): Promise<void> {
  await exec([
    "sh",
    "-c",
    `cd '${folder}' && busybox find . | busybox cpio -o -H newc > '${path}'`,
  ]);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
