/**
 * Another kernel for tests that the running one cannot carry: a stock distribution kernel in QEMU, emulated, on this machine's own
 * root file system. The guest's root is an overlay in memory over that file system, read-only: nothing it writes comes back, its
 * output and exit status apart.
 *
 * @module
 */
import { initrdProblem, makeInitrd, newestKernel } from "./vm_initrd.ts";

/** How a command is run. */
export interface VmOptions {
  /** Milliseconds after which the machine is killed. The default is 300,000. */
  readonly timeout?: number;
  readonly env?: Record<string, string>;
  /** Where the command is run; the default is the current directory. */
  readonly cwd?: string;
  /** MiB of memory. The default is 3,072. */
  readonly memory?: number;
  /** Called with the output as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** What a command in the machine left. */
export interface VmOutcome {
  /** Exit status; undefined if the machine ended without one. */
  readonly code: number | undefined;
  /** Standard output and standard error, in their order. */
  readonly output: string;
  /** What the kernel and QEMU said. */
  readonly console: string;
}

const QEMU = "qemu-system-x86_64";
/** Where guest and host exchange files, in the guest. */
const SHARE = "/mnt";

/** Why no machine can be started here; undefined if one can. */
export function vmProblem(): string | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "needs Linux on x86-64";
  if (Deno.uid() !== 0) return "needs root";
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

async function boot(folder: string, image: string, options: VmOptions): Promise<VmOutcome> {
  const virtfs = (path: string, tag: string, more = "") =>
    `local,path=${path},mount_tag=${tag},security_model=none,multidevs=remap${more}`;
  const machine = new Deno.Command(QEMU, {
    args: [
      ...["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
      ...[
        "-m",
        `${options.memory ?? 3072}`,
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
        "-nic",
        "none",
      ],
      ...["-kernel", image, "-initrd", `${folder}/initrd`],
      ...["-append", "console=ttyS0 quiet panic=-1"],
      ...["-virtfs", virtfs("/", "root", ",readonly=on")],
      ...["-virtfs", virtfs(`${folder}/share`, "share")],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const limit = options.timeout ?? 300_000;
  const timer = setTimeout(() => {
    late = true;
    machine.kill("SIGKILL");
  }, limit);
  const output = new Tail(`${folder}/share/output`, options.onOutput);
  const ticker = setInterval(() => output.read(), 250);
  try {
    const { stdout, stderr } = await machine.output();
    const decoder = new TextDecoder();
    const console = decoder.decode(stderr) + decoder.decode(stdout);
    output.read();
    if (late) {
      throw new Error(`The machine did not end within ${limit} ms\n${output.text}\n${console}`);
    }
    const status = parseInt(readIfPresent(`${folder}/share/status`) ?? "");
    return { code: isNaN(status) ? undefined : status, output: output.text, console };
  } finally {
    clearTimeout(timer);
    clearInterval(ticker);
  }
}

/** Follows a file that somebody else writes. */
class Tail {
  readonly #path: string;
  readonly #onText: ((text: string) => void) | undefined;
  readonly #decoder = new TextDecoder();
  #at = 0;
  text = "";

  constructor(path: string, onText: ((text: string) => void) | undefined) {
    this.#path = path;
    this.#onText = onText;
  }

  read(): void {
    let bytes: Uint8Array;
    try {
      bytes = Deno.readFileSync(this.#path).subarray(this.#at);
    } catch {
      return; // Not begun yet.
    }
    if (bytes.length === 0) return;
    this.#at += bytes.length;
    const text = this.#decoder.decode(bytes, { stream: true });
    this.text += text;
    this.#onText?.(text);
  }
}

/** What the guest runs once its root file system is there. */
function runScript(command: readonly string[], options: VmOptions): string {
  const env: Record<string, string> = {
    PATH: Deno.env.get("PATH") ?? "",
    HOME: Deno.env.get("HOME") ?? "/root",
    NO_COLOR: "1",
    // An emulated processor is that many times slower, and deadlines that much longer.
    KNET_TEST_SLOWNESS: "9",
    DENO_NO_UPDATE_CHECK: "1",
    ...options.env,
  };
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`);
  return [
    "busybox mkdir -p /dev/pts /dev/shm",
    "busybox mount -t devpts devpts /dev/pts",
    "for place in /run /tmp /dev/shm; do busybox mount -t tmpfs tmpfs $place; done",
    "echo 1 > /proc/sys/kernel/sysrq",
    "busybox ip link set lo up",
    ...exports,
    `cd ${quote(options.cwd ?? Deno.cwd())}`,
    `${command.map(quote).join(" ")} > ${SHARE}/output 2>&1 < /dev/null`,
    `echo $? > ${SHARE}/status`,
    `busybox sync`,
    // Without an init there is nobody to ask for an orderly end.
    "echo o > /proc/sysrq-trigger",
    "while :; do busybox sleep 1; done",
  ].join("\n") + "\n";
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function runs(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

function readIfPresent(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
