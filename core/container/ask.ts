/**
 * Asks the agent to do something about containers, and runtimes. Light: the plugins of runtimes load it.
 *
 * @module
 */
/** Path of the agent's socket for runtimes' plugins. */
export function containerSocket(stateDir: string): string {
  // Without node:path, which every container would wait for.
  return `${stateDir}/containers.sock`;
}

/** The agent's answer. */
export interface ContainerAnswer {
  /** Of HTTP: 200, or 422 with an error in the body. */
  readonly status: number;
  readonly body: string;
}

/**
 * Asks.
 *
 * @param path `/cni`.
 * @returns undefined if no agent listens.
 * @throws {Error} if it hangs up without an answer, or this user may not ask.
 */
export function askContainers(
  stateDir: string,
  path: string,
  body: string,
): Promise<ContainerAnswer | undefined> {
  return askOver(containerSocket(stateDir), "POST", path, body);
}

/** Milliseconds that a container waits for an agent that is being started anew. */
const PATIENCE = 3000;

/** Asks, and if nobody listens where there was an agent, waits for the next if that is asked for. */
export async function askPatiently(
  stateDir: string,
  path: string,
  body: string,
  patient: boolean,
): Promise<ContainerAnswer | undefined> {
  const until = performance.now() + (patient ? PATIENCE : 0);
  for (;;) {
    const answer = await askContainers(stateDir, path, body);
    if (answer !== undefined || performance.now() >= until || !exists(`${stateDir}/node.json`)) {
      return answer;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** What to do where no agent listens: a runtime with mounts of its own may not see the one that there is. */
export function startAgent(stateDir: string): string {
  const start = "Start it: systemctl start knet";
  if (exists(`${stateDir}/node.json`)) return start;
  return `${start}; a runtime that runs in a container has to see the host's ${stateDir}`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Asks whoever listens on a Unix socket by HTTP.
 *
 * @param body JSON, or empty.
 * @param bounds Milliseconds, and bytes, that the answer may take.
 * @returns undefined if nobody listens.
 * @throws {Error} if it hangs up without an answer, takes longer or answers more, or this user may not ask.
 */
export async function askOver(
  path: string,
  method: string,
  target: string,
  body: string,
  bounds: { readonly deadline?: number; readonly longest?: number } = {},
): Promise<ContainerAnswer | undefined> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path });
  } catch (error) {
    const { NotFound, ConnectionRefused } = Deno.errors;
    if (error instanceof NotFound || error instanceof ConnectionRefused) return undefined;
    throw error;
  }
  const socket = connection;
  let late = false;
  const timer = bounds.deadline === undefined ? undefined : setTimeout(() => {
    late = true;
    socket.close();
  }, bounds.deadline);
  try {
    return await talk(socket, method, target, body, bounds.longest);
  } catch (error) {
    if (late) throw new Error(`it does not answer within ${bounds.deadline} ms`);
    throw error;
  } finally {
    clearTimeout(timer);
    if (!late) socket.close();
  }
}

async function talk(
  socket: Deno.UnixConn,
  method: string,
  target: string,
  body: string,
  longest = Infinity,
): Promise<ContainerAnswer> {
  const bytes = new TextEncoder().encode(body);
  const head = new TextEncoder().encode(
    `${method} ${target} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ${bytes.length}\r\n\r\n`,
  );
  for (const part of [head, bytes]) {
    for (let at = 0; at < part.length;) at += await socket.write(part.subarray(at));
  }
  const decoder = new TextDecoder();
  let text = "";
  for (const buffer = new Uint8Array(65_536);;) {
    const count = await socket.read(buffer);
    if (count === null) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    if (text.length > longest) throw new Error(`its answer is longer than ${longest} bytes`);
  }
  const [, status, rest] = /^HTTP\/1\.[01] ([0-9]{3})[^]*?\r\n\r\n([^]*)$/.exec(text) ?? [];
  if (status === undefined || rest === undefined) throw new Error("it hung up");
  return { status: Number(status), body: rest };
}
