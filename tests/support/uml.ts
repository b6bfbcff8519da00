/**
 * A kernel for measurements: user-mode Linux, a kernel that is a process. What runs in it, kernel and programs alike, runs at the
 * speed of this processor, while each system call costs several times what it costs elsewhere: figures from it are upper bounds. It
 * has IPVS and no nftables for IPv4, so that nothing is masqueraded there, and one processor.
 *
 * Its root is this machine's, read-only.
 *
 * @module
 */
import { exec } from "./exec.ts";
import {
  guestCommands,
  machineProblem,
  runMachine,
  runs,
  type VmOptions,
  type VmOutcome,
} from "./machine.ts";
import { mountOver, placesOfTests } from "./mount_over.ts";

const UML = "linux.uml";
/** Where guest and host exchange files, in the guest, whose root cannot be written to. */
const SHARE = "/run/share";
const MODULES = "/usr/lib/uml/modules";

/** Why there is no such kernel here; undefined if there is one. */
export function umlProblem(): string | undefined {
  return machineProblem() ??
    (runs(UML, "--version") ? undefined : "needs package user-mode-linux");
}

/**
 * Runs a command in a fresh machine.
 *
 * @param command words; the guest has this machine's files, programs and environment.
 * @throws {Error} if no machine can be started, or after the time-out, with what was printed until then.
 */
export async function runInUml(
  command: readonly string[],
  options: VmOptions = {},
): Promise<VmOutcome> {
  const problem = umlProblem();
  if (problem !== undefined) throw new Error(`Cannot start user-mode Linux: it ${problem}`);
  const folder = await Deno.makeTempDir({ prefix: "knet-uml-" });
  try {
    // The guest's memory is a file.
    await exec(`mount -t tmpfs tmpfs ${folder}`);
    await Deno.mkdir(`${folder}/share`);
    await Deno.writeTextFile(`${folder}/init`, init(`${folder}/share`, command, options), {
      mode: 0o755,
    });
    const line = [
      ...[UML, `mem=${options.memory ?? 3072}M`, "root=/dev/root", "rootfstype=hostfs"],
      ...["rootflags=/", "ro", `init=${folder}/init`, "quiet", "stderr=1", "panic=-1"],
      ...["con=null", "con0=null,fd:1", `umid=knet-${crypto.randomUUID().slice(0, 8)}`],
      `uml_dir=${folder}/`,
    ];
    return await runMachine(line, `${folder}/share`, options, { TMPDIR: folder });
  } finally {
    await exec(`umount -l ${folder}`, { check: false });
    await Deno.remove(folder, { recursive: true });
  }
}

function init(share: string, command: readonly string[], options: VmOptions): string {
  return [
    "#!/bin/bash",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "mount -t proc proc /proc",
    "mount -t sysfs sysfs /sys",
    "mkdir -p /dev/pts /dev/shm",
    "mount -t devpts devpts /dev/pts",
    ...["/run", "/tmp", "/dev/shm", "/lib/modules"].flatMap((place) =>
      mountOver(place, [options.cwd ?? Deno.cwd(), ...placesOfTests()])
    ),
    `mkdir ${SHARE}`,
    `mount -t hostfs -o ${share} hostfs ${SHARE}`,
    `cp -a ${MODULES}/. /lib/modules/`,
    "ip link set lo up",
    ...guestCommands(command, options, SHARE, 2),
  ].join("\n") + "\n";
}
