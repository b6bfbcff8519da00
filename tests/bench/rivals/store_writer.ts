/**
 * The benchmark's end of `writer.ts`.
 *
 * @module
 */
import type { Lease } from "../../../core/cluster/lease.ts";
import type { Background } from "../../support/exec.ts";
import type { Host } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import type { Written } from "./writer.ts";

const program = new URL("./writer.ts", import.meta.url).pathname;

/** A process on a host that writes leases into a store. */
export class StoreWriter {
  readonly #process: Background;
  #read = 0;

  private constructor(process: Background) {
    this.#process = process;
  }

  /** Starts it; it ends with its host. */
  static async start(host: Host, store: string, prefix = ""): Promise<StoreWriter> {
    const deno = [Deno.execPath(), "run", "-q", "-A", "--no-check"];
    const writer = new StoreWriter(host.spawn([...deno, program, store, prefix]));
    await writer.#line();
    return writer;
  }

  async #line(): Promise<string> {
    const { value } = await until("the writer answers", () => {
      const { ended, stdout, stderr } = this.#process;
      if (ended !== undefined) throw new Error(stderr);
      const end = stdout.indexOf("\n", this.#read);
      if (end < 0) return undefined;
      const line = stdout.slice(this.#read, end);
      this.#read = end + 1;
      return line;
    }, { deadline: 120_000, interval: 2 });
    return value;
  }

  /** Sends leases, and says later when they were written: whoever waits for their effect must not be kept. */
  send(leases: readonly Lease[]): { readonly written: Promise<Written> } {
    const sent = this.#process.write(`${JSON.stringify(leases)}\n`);
    return { written: sent.then(() => this.#line()).then((line) => JSON.parse(line)) };
  }

  /** Writes leases. */
  write(leases: readonly Lease[]): Promise<Written> {
    return this.send(leases).written;
  }
}
