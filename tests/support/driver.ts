/**
 * The test's end of `lease_driver.ts`.
 *
 * @module
 */
import type { Background } from "./exec.ts";
import type { Host } from "./host.ts";
import type { DriverAnswer, DriverCommand } from "./lease_driver.ts";
import { until } from "./wait.ts";

const program = new URL("./lease_driver.ts", import.meta.url).pathname;

/** A process on a host that speaks to the store. */
export class Driver implements AsyncDisposable {
  readonly #process: Background;
  #read = 0;

  private constructor(process: Background) {
    this.#process = process;
  }

  /** Starts it and waits until its store is open. */
  static async start(host: Host, wrapper: readonly string[] = []): Promise<Driver> {
    const line = [...wrapper, Deno.execPath(), "run", "-q", "-A", program, host.options.storeUrl];
    const driver = new Driver(host.spawn(line));
    await driver.#answer(60_000);
    return driver;
  }

  async #answer(deadline: number): Promise<DriverAnswer> {
    const { value } = await until("the driver answers", () => {
      const end = this.#process.stdout.indexOf("\n", this.#read);
      if (end < 0) {
        if (this.#process.ended !== undefined) throw new Error(this.#process.stderr);
        return undefined;
      }
      const line = this.#process.stdout.slice(this.#read, end);
      this.#read = end + 1;
      return JSON.parse(line) as DriverAnswer;
    }, { deadline, interval: 2 });
    return value;
  }

  /** Sends a command; does not wait for its answer. */
  async send(command: DriverCommand): Promise<void> {
    await this.#process.write(`${JSON.stringify(command)}\n`);
  }

  /** Waits for the next answer. */
  answer(deadline = 30_000): Promise<DriverAnswer> {
    return this.#answer(deadline);
  }

  /**
   * Sends a command and waits for its answer.
   *
   * @throws {Error} if the store refused.
   */
  async tell(command: DriverCommand): Promise<DriverAnswer> {
    await this.send(command);
    const answer = await this.#answer(30_000);
    if (answer.errors !== undefined && answer.errors.length > 0) {
      throw new Error(answer.errors.join("\n"));
    }
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
