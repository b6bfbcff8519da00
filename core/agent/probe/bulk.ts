/**
 * TCP between agents in the overlay: whether more than a few packets pass, and what a peer knows of its own paths. A connection that
 * opens and then hangs is what a broken offload or a wrong MTU makes of TCP while every ping is answered.
 *
 * Peers' hosts alone are served, a few at once and for a few seconds.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { after, monotonicClock, sleep } from "../../base/clock.ts";
import { messageOf } from "../../base/error.ts";
import { PROBE_PORT } from "../../inspect/probe/message.ts";

const log = getLogger(["knet", "probe"]);

/** Bytes that are sent: many segments of any size. */
const BULK = 1 << 18;
/** Bytes of a report that are read. */
const MOST_REPORT = 1 << 20;
/** Milliseconds that it may take. */
const PATIENCE = 3000;
/** Connections at once. */
const MOST = 4;
/** Milliseconds after which an accept that failed is tried again. */
const BREATH = 100;

/** What the server asks. */
export interface BulkHooks {
  /** Whether an address is one of a peer's host. */
  knows(address: string): boolean;
  /** What this host knows of its paths, as JSON. */
  report(): string;
}

/** Serves on the bridge's address. */
export class BulkServer implements AsyncDisposable {
  readonly #hooks: BulkHooks;
  readonly #open = new Set<Deno.Conn>();
  #listener: Deno.Listener | undefined;
  #address: string | undefined;
  #accepting: Promise<void> | undefined;

  constructor(hooks: BulkHooks) {
    this.#hooks = hooks;
  }

  /** Listens on an address, and nowhere else. What stands in the way is logged. */
  configure(address: string): void {
    if (this.#address === address) return;
    this.#listener?.close();
    this.#listener = undefined;
    try {
      const listener = Deno.listen({ hostname: address, port: PROBE_PORT });
      this.#listener = listener;
      this.#address = address;
      this.#accepting = this.#accept(listener);
    } catch (error) {
      log.debug("{message}", { message: messageOf(error) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    for (const connection of this.#open) shut(connection);
    await this.#accepting;
  }

  async #accept(listener: Deno.Listener): Promise<void> {
    while (this.#listener === listener) {
      try {
        const connection = await listener.accept();
        const { hostname } = connection.remoteAddr as Deno.NetAddr;
        if (this.#open.size >= MOST || !this.#hooks.knows(hostname)) shut(connection);
        else void this.#serve(connection);
      } catch {
        if (this.#listener === listener) await sleep(BREATH);
      }
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    this.#open.add(connection);
    const timer = after(PATIENCE, () => shut(connection), { idle: true });
    try {
      const bytes = new Uint8Array(65_536);
      let count = await connection.read(bytes) ?? 0;
      const reports = bytes[0] === "r".charCodeAt(0);
      while (!reports && count < BULK) {
        const more = await connection.read(bytes);
        if (more === null) return;
        count += more;
      }
      await writeAll(connection, new TextEncoder().encode(reports ? this.#hooks.report() : "ok"));
      await connection.closeWrite();
      while (await connection.read(bytes) !== null);
    } catch {
      // It hung up, or took too long.
    } finally {
      timer.cancel();
      this.#open.delete(connection);
      shut(connection);
    }
  }
}

/** Speaks with a peer's agent; whatever stands in the way is an error with a sentence. */
async function talk(address: string, question: Uint8Array, most: number): Promise<string> {
  let opened = false;
  let late = false;
  let connection: Deno.Conn | undefined;
  let giveUp: (error: Error) => void;
  const patience = new Promise<never>((_, reject) => giveUp = reject);
  const timer = after(PATIENCE, () => {
    late = true;
    if (connection !== undefined) shut(connection);
    giveUp(new Error("late"));
  });
  const connecting = Deno.connect({ hostname: address, port: PROBE_PORT });
  connecting.then((one) => late && shut(one), () => {});
  try {
    connection = await Promise.race([connecting, patience]);
    opened = true;
    await Promise.race([writeAll(connection, question), patience]);
    await connection.closeWrite();
    const parts: Uint8Array[] = [];
    for (let have = 0; have < most;) {
      const bytes = new Uint8Array(16_384);
      const count = await Promise.race([connection.read(bytes), patience]);
      if (count === null) break;
      parts.push(bytes.subarray(0, count));
      have += count;
    }
    return await new Blob(parts as BlobPart[]).text();
  } catch (error) {
    if (!late) throw error;
    throw new Error(
      opened
        ? `a connection opens, and then hangs: ${question.length} bytes do not pass within ${
          PATIENCE / 1000
        } s`
        : `no connection opens within ${PATIENCE / 1000} s`,
    );
  } finally {
    timer.cancel();
    if (connection !== undefined) shut(connection);
  }
}

/** Sends a peer more than a few packets by TCP. */
export async function tryTcp(address: string): Promise<{ passed: boolean; detail: string }> {
  const start = monotonicClock();
  try {
    const said = await talk(address, new Uint8Array(BULK), 16);
    const took = Math.max(1, monotonicClock() - start);
    return said === "ok"
      ? { passed: true, detail: `${BULK >> 10} KiB in ${took.toFixed(0)} ms` }
      : { passed: false, detail: "the peer hung up" };
  } catch (error) {
    return { passed: false, detail: messageOf(error) };
  }
}

/**
 * What a peer knows of its paths.
 *
 * @throws {Error} if it does not tell.
 */
export function askReport(address: string): Promise<string> {
  return talk(address, new TextEncoder().encode("report\n"), MOST_REPORT);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function shut(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
