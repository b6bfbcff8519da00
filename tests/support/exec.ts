/**
 * Child processes of the tests: run to the end, or kept in the background with their output.
 *
 * @module
 */

/** What a finished command left. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run. */
export interface ExecOptions {
  readonly env?: Record<string, string>;
  /** Text for its standard input; without it, it has none. */
  readonly stdin?: string;
  /** With `false`, a status other than 0 is returned instead of thrown. */
  readonly check?: boolean;
  /** Milliseconds after which the command is killed. The default is 60,000. */
  readonly timeout?: number;
}

/** Words of a command line; a string is split at blanks (no quoting). */
export type CommandLine = string | readonly string[];

/** The words of a command line. */
export function words(line: CommandLine): string[] {
  return typeof line === "string" ? line.split(/\s+/).filter((word) => word !== "") : [...line];
}

/**
 * Runs a command to its end.
 *
 * @throws {Error} with the command and both outputs when it fails and `check` is not `false`.
 */
export async function exec(line: CommandLine, options: ExecOptions = {}): Promise<Outcome> {
  const [command, ...args] = words(line);
  const child = new Deno.Command(command ?? "", {
    args,
    ...(options.env === undefined ? {} : { env: options.env }),
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill(child, "SIGKILL");
  }, options.timeout ?? 60_000);
  try {
    if (options.stdin !== undefined) {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(options.stdin)).catch(() => {});
      await writer.close().catch(() => {});
    }
    const output = await child.output();
    const decoder = new TextDecoder();
    const outcome = {
      code: output.code,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
    if (late) {
      throw new Error(`${words(line).join(" ")}: no end after ${options.timeout ?? 60_000} ms`);
    }
    if (options.check !== false && outcome.code !== 0) {
      throw new Error(
        `${words(line).join(" ")}: exit status ${outcome.code}\n${outcome.stdout}${outcome.stderr}`,
      );
    }
    return outcome;
  } finally {
    clearTimeout(timer);
  }
}

/** A process in the background whose output is kept. */
export class Background implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #readers: Promise<void>[];
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** Standard output so far. */
  stdout = "";
  /** Standard error so far. */
  stderr = "";
  /** Exit status once it ended. */
  ended: Deno.CommandStatus | undefined;
  /** Settles when the process ended and its output was read. */
  readonly status: Promise<Deno.CommandStatus>;

  constructor(line: CommandLine, options: { env?: Record<string, string> } = {}) {
    const [command, ...args] = words(line);
    this.#child = new Deno.Command(command ?? "", {
      args,
      ...(options.env === undefined ? {} : { env: options.env }),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#readers = [
      collect(this.#child.stdout, (text) => this.stdout += text),
      collect(this.#child.stderr, (text) => this.stderr += text),
    ];
    this.status = this.#finish();
  }

  async #finish(): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    await Promise.all(this.#readers);
    this.ended = status;
    return status;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Writes text to its standard input. */
  async write(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text));
  }

  /** Closes its standard input. */
  async closeInput(): Promise<void> {
    await this.#writer.close().catch(() => {});
  }

  /** Sends a signal; nothing happens if it has ended already. */
  signal(name: Deno.Signal): void {
    kill(this.#child, name);
  }

  /**
   * Sends a signal and waits for the end.
   *
   * @throws {Error} if it lives 15 s longer (it is killed then).
   */
  async stop(name: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    this.signal(name);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), 15_000);
    });
    const status = await Promise.race([this.status, late]);
    clearTimeout(timer);
    await this.closeInput();
    if (status !== undefined) return status;
    this.signal("SIGKILL");
    await this.status;
    throw new Error(`process ${this.pid} lived 15 s after ${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.closeInput();
    await this.status;
  }
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  sink: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) sink(decoder.decode(chunk, { stream: true }));
}

function kill(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It ended before.
  }
}
