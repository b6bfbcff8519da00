/**
 * Looks whether a real server answers `GET` by a status from 200 to 399. No more of the answer is read than its first line.
 *
 * @module
 */
import { messageOf } from "../base/error.ts";
import { failed, LATE, type Probe, type ProbeResult, type ProbeTarget } from "./probe.ts";

/** Enough of an answer to see its status: `HTTP/1.1 200`. */
const STATUS_BYTES = 12;

/** Looks by a connection of its own, which the real server is asked to close. */
export const httpProbe: Probe = (target, done) => {
  const abort = new AbortController();
  void look(target, abort.signal).then(done);
  return () => abort.abort();
};

async function look(target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  let connection: Deno.TcpConn | undefined;
  try {
    connection = await Deno.connect({ hostname: target.address, port: target.port, signal });
    return await get(connection, target, signal);
  } catch (error) {
    if (signal.aborted) return LATE;
    return failed((error as { code?: string }).code, messageOf(error));
  } finally {
    if (connection !== undefined) shut(connection);
  }
}

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
