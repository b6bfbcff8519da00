/**
 * What all kernels for tests have in common: a machine that is a process here, runs one command as its only work, and leaves the
 * command's output and exit status in a folder.
 *
 * @module
 */
import { quote } from "./mount_over.ts";

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

/**
 * Starts the machine and waits for its end.
 *
 * @param line program and arguments that are the machine.
 * @param share the folder where guest and host exchange files.
 * @throws {Error} after the time-out, with what was printed until then.
 */
export async function runMachine(
  [program = "", ...args]: readonly string[],
  share: string,
  options: VmOptions,
  env: Record<string, string> = {},
): Promise<VmOutcome> {
  const machine = new Deno.Command(program, {
    args,
    env,
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
  const output = new Tail(`${share}/output`, options.onOutput);
  const ticker = setInterval(() => output.read(), 250);
  try {
    const { stdout, stderr } = await machine.output();
    const decoder = new TextDecoder();
    const console = decoder.decode(stderr) + decoder.decode(stdout);
    output.read();
    if (late) {
      throw new Error(`The machine did not end within ${limit} ms\n${output.text}\n${console}`);
    }
    const status = parseInt(readIfPresent(`${share}/status`) ?? "");
    return { code: isNaN(status) ? undefined : status, output: output.text, console };
  } finally {
    clearTimeout(timer);
    clearInterval(ticker);
  }
}

/**
 * What the guest does once its file systems are there.
 *
 * @param share where the guest has the folder in which guest and host exchange files.
 * @param slowness how many times longer than on a machine of its own everything may take there.
 */
export function guestCommands(
  command: readonly string[],
  options: VmOptions,
  share: string,
  slowness: number,
): string[] {
  const env: Record<string, string> = {
    PATH: Deno.env.get("PATH") ?? "",
    HOME: Deno.env.get("HOME") ?? "/root",
    NO_COLOR: "1",
    KNET_TEST_SLOWNESS: `${slowness}`,
    DENO_NO_UPDATE_CHECK: "1",
    ...options.env,
  };
  return [
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`),
    `cd ${quote(options.cwd ?? Deno.cwd())}`,
    `${command.map(quote).join(" ")} > ${share}/output 2>&1 < /dev/null`,
    `echo $? > ${share}/status`,
    "sync",
    // Without an init there is nobody to ask for an orderly end.
    "echo o > /proc/sysrq-trigger",
    "while :; do sleep 1; done",
  ];
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

/** Why this is no place for any such machine; undefined if it is one. */
export function machineProblem(): string | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return "needs Linux on x86-64";
  return Deno.uid() === 0 ? undefined : "needs root";
}

/** Whether a program can be run here. */
export function runs(command: string, ...args: string[]): boolean {
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
