/**
 * One look at one real server.
 *
 * @module
 */
import { messageOf } from "../../error.ts";

/** What is asked. */
export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
  /** Path to GET; absent, a connection is all that is wanted. */
  readonly path?: string;
}

/** What came of it. */
export interface ProbeResult {
  /** Undefined: this host could not ask, which says nothing of the real server. */
  readonly passed: boolean | undefined;
  /** In a few words; empty if it passed. */
  readonly detail: string;
}

/** Asks a real server; never rejects, and ends soon after the signal. */
export type Probe = (target: ProbeTarget, signal: AbortSignal) => Promise<ProbeResult>;

/** Enough of an answer to see its status: `HTTP/1.1 200`. */
const STATUS_BYTES = 12;

/** This host's own shortage: of descriptors, of ports, of memory. */
const SHORTAGE = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"]);

/** Looks by a TCP connection of its own. */
export const probe: Probe = async (target, signal) => {
  let connection: Deno.TcpConn | undefined;
  try {
    connection = await Deno.connect({ hostname: target.address, port: target.port, signal });
    if (target.path === undefined) return { passed: true, detail: "" };
    return await get(connection, target, signal);
  } catch (error) {
    if (signal.aborted) return { passed: false, detail: "no answer in time" };
    const code = (error as { code?: unknown }).code;
    if (typeof code === "string" && SHORTAGE.has(code)) {
      return { passed: undefined, detail: messageOf(error) };
    }
    return {
      passed: false,
      detail: error instanceof Deno.errors.ConnectionRefused
        ? "connection refused"
        : messageOf(error),
    };
  } finally {
    if (connection !== undefined) shut(connection);
  }
};

function shut(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // It was closed by the signal.
  }
}

async function get(
  connection: Deno.TcpConn,
  { address, port, path }: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  // Reads know no signal: the end of the connection ends them.
  const end = () => shut(connection);
  signal.addEventListener("abort", end);
  try {
    const host = address.includes(":") ? `[${address}]` : address;
    const request =
      `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: knet\r\nAccept: */*\r\nConnection: close\r\n\r\n`;
    const bytes = new TextEncoder().encode(request);
    for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
    const answer = new Uint8Array(STATUS_BYTES);
    let have = 0;
    while (have < STATUS_BYTES) {
      const got = await connection.read(answer.subarray(have));
      if (got === null) break;
      have += got;
    }
    const line = new TextDecoder().decode(answer.subarray(0, have));
    const status = /^HTTP\/1\.[01] ([0-9]{3})$/.exec(line)?.[1];
    if (status === undefined) return { passed: false, detail: "the answer is not HTTP" };
    const passed = status >= "200" && status < "400";
    return { passed, detail: passed ? "" : `status ${status}` };
  } finally {
    signal.removeEventListener("abort", end);
  }
}
