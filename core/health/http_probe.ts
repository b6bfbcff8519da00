/**
 * Looks whether a real server answers `GET` by a status from 200 to 399, whatever 1xx it sends before (RFC 9110, 15.2). No more of
 * the answer is read than up to that status.
 *
 * @module
 */
import { messageOf } from "../base/error.ts";
import { failed, LATE, type Probe, type ProbeResult, type ProbeTarget } from "./probe.ts";

/** Bytes of an answer that are read at most: interim answers (103 Early Hints has many fields) come before the status that counts. */
const MOST_BYTES = 16 * 1024;
/** A status line and what may follow it: `HTTP/1.1 200 OK`, or without words as some servers have it. */
const STATUS = /^HTTP\/1\.[01] ([0-9]{3})(?=[ \r\n]|$)/;
/** The empty line behind a head; some servers leave the carriage return away. */
const HEAD_END = /\r?\n\r?\n/;

/**
 * The status that counts in what has come of an answer so far.
 *
 * @param text one character a byte.
 * @returns "more" if it is not there yet, "other" if it is no HTTP/1 answer.
 */
export function finalStatus(text: string): number | "more" | "other" {
  let rest = text;
  for (;;) {
    // Nothing can be said of the line until its status is whole.
    if (rest.length < "HTTP/1.1 200".length) {
      return /^(H|$)/.test(rest) && "HTTP/1.".startsWith(rest.slice(0, 7)) ? "more" : "other";
    }
    const found = STATUS.exec(rest.slice(0, 13));
    if (found === null) return "other";
    const status = Number(found[1]);
    // After 101 another protocol follows, and no other status.
    if (status === 101 || status >= 200) return status;
    const end = HEAD_END.exec(rest);
    if (end === null) return "more";
    rest = rest.slice(end.index + end[0].length);
  }
}

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
    return await judge(connection);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

async function judge(connection: Deno.TcpConn): Promise<ProbeResult> {
  const buffer = new Uint8Array(MOST_BYTES);
  // Every byte is a character: what a field holds does not matter.
  const decoder = new TextDecoder("latin1");
  for (let have = 0;;) {
    const got = have < MOST_BYTES ? await connection.read(buffer.subarray(have)) : null;
    have += got ?? 0;
    const status = finalStatus(decoder.decode(buffer.subarray(0, have)));
    if (status === "more" && got !== null) continue;
    if (status === "other") return { passed: false, detail: "the answer is not HTTP" };
    if (status === "more") {
      const why = have < MOST_BYTES
        ? "ends before its status"
        : `has no status in its first ${MOST_BYTES} bytes`;
      return { passed: false, detail: have === 0 ? "no answer" : `the answer ${why}` };
    }
    const passed = status >= 200 && status < 400;
    return { passed, detail: passed ? "" : `status ${status}` };
  }
}
