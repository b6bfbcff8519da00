/**
 * Another kernel for tests that the running one cannot carry: a stock distribution kernel in QEMU, emulated, on this machine's own
 * root file system. The guest's root is an overlay in memory over that file system, read-only: nothing it writes comes back, its
 * output and exit status apart.
 *
 * @module
 */
import {
  guestCommands,
  machineProblem,
  runMachine,
  runs,
  type VmOptions,
  type VmOutcome,
} from "./machine.ts";
import { mountOver, placesOfTests } from "./mount_over.ts";
import { initrdProblem, makeInitrd, newestKernel } from "./vm_initrd.ts";

const QEMU = "qemu-system-x86_64";
/** Where guest and host exchange files, in the guest, whose root can be written to. */
const SHARE = "/knet-share";
/** Why no machine can be started here; undefined if one can. */
export function vmProblem(): string | undefined {
  const problem = machineProblem();
  if (problem !== undefined) return problem;
  if (!runs(QEMU, "--version")) return "needs QEMU (package qemu-system-x86)";
  return initrdProblem();
}

/**
 * Runs a command in a fresh machine.
 *
 * @param command words; the guest has this machine's files, programs and environment.
 * @throws {Error} if no machine can be started, or after the time-out, with what was printed until then.
 */
export async function runInVm(
  command: readonly string[],
  options: VmOptions = {},
): Promise<VmOutcome> {
  const problem = vmProblem();
  const kernel = newestKernel();
  if (problem !== undefined || kernel === undefined) {
    throw new Error(`Cannot start a virtual machine: ${problem}`);
  }
  const share = await Deno.makeTempDir({ prefix: "knet-vm-" });
  try {
    await makeInitrd(`${share}/initrd`, kernel, SHARE);
    await Deno.mkdir(`${share}/share`);
    await Deno.writeTextFile(`${share}/share/run`, runScript(command, options));
    return await boot(share, kernel.image, options);
  } finally {
    await Deno.remove(share, { recursive: true });
  }
}

function boot(folder: string, image: string, options: VmOptions): Promise<VmOutcome> {
  const virtfs = (path: string, tag: string, more = "") =>
    `local,path=${path},mount_tag=${tag},security_model=none,multidevs=remap${more}`;
  const line = [
    ...[QEMU, "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
    ...["-m", `${options.memory ?? 3072}`, "-display", "none", "-serial", "stdio"],
    ...["-no-reboot", "-nic", "none", "-kernel", image, "-initrd", `${folder}/initrd`],
    ...["-append", "console=ttyS0 quiet panic=-1 no_timer_check"],
    ...["-virtfs", virtfs("/", "root", ",readonly=on")],
    ...["-virtfs", virtfs(`${folder}/share`, "share")],
  ];
  return runMachine(line, `${folder}/share`, options);
}

/** What the guest runs once its root file system is there. */
function runScript(command: readonly string[], options: VmOptions): string {
  return [
    "busybox mkdir -p /dev/pts /dev/shm",
    "busybox mount -t devpts devpts /dev/pts",
    ...["/run", "/tmp", "/dev/shm"].flatMap((place) =>
      mountOver(place, [options.cwd ?? Deno.cwd(), ...placesOfTests()], {
        command: "busybox mount",
      })
    ),
    "echo 1 > /proc/sys/kernel/sysrq",
    "busybox ip link set lo up",
    // An emulated processor is that many times slower, and deadlines that much longer.
    ...guestCommands(command, options, SHARE, 9),
  ].join("\n") + "\n";
}
