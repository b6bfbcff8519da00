/**
 * Asks this host's agent over its socket.
 *
 * @module
 */
import { join } from "node:path";
import { after } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";

/** Milliseconds that the agent may be silent. */
const PATIENCE = 5000;

/** Path of the agent's socket. */
export function agentSocket(stateDir: string): string {
  return join(stateDir, "knet.sock");
}

/** An agent holds its socket and says nothing. */
export class SilentAgentError extends KnetError {
  override readonly name = "SilentAgentError";

  constructor(cause: unknown) {
    super(`Cannot ask this host's agent: it runs, but does not answer (${messageOf(cause)})`, {
      remedy: "Try again; see journalctl -u knet if it stays so",
      cause,
    });
  }
}

/**
 * Asks the agent over its socket.
 *
 * @param patience Milliseconds that it may be silent.
 * @returns The body, undefined if no agent listens, or it does not know what is asked.
 * @throws {SilentAgentError} if one listens and does not answer.
 * @throws {KnetError} exit code 3 if this user may not ask.
 */
export async function askAgent(
  stateDir: string,
  path: string,
  method: "GET" | "POST" = "GET",
  patience = PATIENCE,
): Promise<string | undefined> {
  const socket = agentSocket(stateDir);
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path: socket });
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) return undefined;
    throw new KnetError(`Cannot ask this host's agent: this user may not open "${socket}"`, {
      exitCode: 3,
      remedy: "Run it as root (sudo), or join the group that the socket belongs to",
      cause: error,
    });
  }
  let late = false;
  const giveUp = () => {
    late = true;
    shut(connection);
  };
  let timer = after(patience, giveUp);
  try {
    const request = new TextEncoder().encode(`${method} ${path} HTTP/1.0\r\n\r\n`);
    for (let at = 0; at < request.length;) at += await connection.write(request.subarray(at));
    const parts: Uint8Array[] = [];
    for (const bytes = new Uint8Array(65_536);;) {
      const count = await connection.read(bytes);
      if (count === null) break;
      parts.push(bytes.slice(0, count));
      timer.cancel();
      timer = after(patience, giveUp);
    }
    return bodyOf(await new Blob(parts as BlobPart[]).text());
  } catch (error) {
    throw new SilentAgentError(late ? new Error(`nothing within ${patience / 1000} s`) : error);
  } finally {
    timer.cancel();
    shut(connection);
  }
}

/** The body of a whole answer; undefined if its status is not 200. */
function bodyOf(text: string): string | undefined {
  const [, status, length, body = ""] =
    /^HTTP\/1\.[01] ([0-9]{3})[^]*?\r\ncontent-length: *([0-9]+)[^]*?\r\n\r\n([^]*)$/i.exec(text) ??
      [];
  if (status === undefined) throw new Error("it hung up");
  if (new TextEncoder().encode(body).length < Number(length)) throw new Error("it hung up");
  return status === "200" ? body : undefined;
}

function shut(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
