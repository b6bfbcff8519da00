/**
 * Connections to other hosts' ports.
 *
 * @module
 */
import { TlsContext } from "../../ffi/openssl/session.ts";
import { after } from "../base/clock.ts";
import { KnetError, messageOf } from "../base/error.ts";
import { type ByteStream, closeQuietly, writeAll } from "../store/dqlite/stream.ts";
import { fingerprint, type Peer, peerOf } from "./certificates.ts";
import { readLine } from "./line.ts";
import { contextOf, type Credentials, type Denial, type Purpose, quicken } from "./port.ts";
import { TlsRefusal, TlsStream } from "./tls_stream.ts";

/** Milliseconds until a connection has to be there and granted. */
const PATIENCE = 5000;

/** Where a port is. */
export interface Endpoint {
  /** Of either family, without brackets. */
  readonly address: string;
  readonly port: number;
}

/** A connection that was asked for. */
export interface DialOptions extends Endpoint {
  readonly purpose: Purpose;
  /** Who this host is. With the authority's certificate alone it is nobody yet. */
  readonly credentials: Credentials | Pick<Credentials, "authority">;
  /** The node that is meant; nobody else is spoken to. */
  readonly nodeId?: string;
  readonly isRevoked?: (peer: Peer) => boolean;
  /** Told who is there instead of the node that is meant, proven. */
  readonly onOther?: (peer: Peer) => void;
  /** Milliseconds; the default is 5 s. */
  readonly patience?: number;
  /** See {@linkcode quicken}. */
  readonly unanswered?: number;
}

/** How an endpoint is written. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Another host's port does not do what was asked. Nothing but the purpose was sent to it, or not even that. */
export class DialError extends KnetError {
  override readonly name = "DialError";

  /**
   * @param reason `away`: nobody answers. `stranger`: who answers cannot prove to be of the cluster, or the node that is meant.
   * `refused`: it does not take this host.
   */
  constructor(
    readonly reason: "away" | "stranger" | "refused",
    where: Endpoint,
    state: string,
    remedy: string,
    options: ErrorOptions = {},
    /** It is there, and has no time: it is worth asking again. */
    readonly busy = false,
  ) {
    super(`Cannot reach the agent at ${formatEndpoint(where)}: ${state}`, {
      ...options,
      remedy,
      exitCode: reason === "refused" ? 4 : 1,
    });
  }
}

const DENIALS: Readonly<Record<Denial, readonly [string, string]>> = {
  certificate: [
    "it wants to see a certificate",
    "Let this host join the cluster with a token",
  ],
  revoked: [
    "this host's certificate was revoked, or its time is over",
    "Let this host join again with a new token, which knet token makes on a host of the cluster",
  ],
  purpose: [
    "it does not know what is asked for",
    "Upgrade knet on that host, or wait until its agent is ready",
  ],
  busy: ["it has too many connections", "Wait, and try again"],
};

/**
 * Connects to a port for a purpose.
 *
 * @throws {DialError}
 */
export async function dial(options: DialOptions): Promise<TlsStream> {
  const { credentials, nodeId, purpose } = options;
  using joining = "key" in credentials ? undefined : new TlsContext(credentials);
  const stream = await begin(options, joining ?? ownContext(credentials as Credentials));
  const timer = after(options.patience ?? PATIENCE, () => stream.destroy(), { idle: true });
  try {
    const peer = peerOf(stream.peerCertificate()!);
    if (nodeId !== undefined && peer.nodeId !== nodeId) {
      if (!options.isRevoked?.(peer)) options.onOther?.(peer);
      throw new DialError(
        "stranger",
        options,
        `it is the node ${peer.nodeId}, not ${nodeId}`,
        "See whether that host has another address now",
      );
    }
    if (options.isRevoked?.(peer)) {
      throw new DialError(
        "stranger",
        options,
        `the certificate of its node ${peer.nodeId} was revoked`,
        "Let that host join again with a new token, or ask another one",
      );
    }
    await writeAll(stream, new TextEncoder().encode(`${purpose}\n`));
    const answer = await readLine(stream);
    if (answer === "ok") return stream;
    throw denied(answer, options);
  } catch (error) {
    stream.close();
    throw explain(error, options);
  } finally {
    timer.cancel();
  }
}

/** Of what a node shows; new ones come at half of a certificate's life, and what was made of the old ones is left. */
const contexts = new WeakMap<Credentials, TlsContext>();

/** What this host's connections share: to read certificates and key takes longer than all else that it does to connect. */
function ownContext(credentials: Credentials): TlsContext {
  const context = contexts.get(credentials) ?? contextOf(credentials);
  contexts.set(credentials, context);
  return context;
}

function denied(answer: string | undefined, where: Endpoint): DialError {
  if (answer === undefined) {
    const remedy = "See the log of that host's agent";
    return new DialError("away", where, "it hung up", remedy, {}, true);
  }
  const [state, remedy] = DENIALS[answer.replace(/^no /, "") as Denial] ??
    ["it answers what this version of knet does not know", "Run the same version on all hosts"];
  return new DialError("refused", where, state, remedy, {}, answer === "no busy");
}

/**
 * Looks at who answers at an endpoint, and sends nothing.
 *
 * @param wanted Hash of the authority's certificate, see {@linkcode fingerprint}.
 * @returns the authority's certificate, DER. Nothing is proven by it: the next connection is made with it alone.
 * @throws {DialError}
 */
export async function learnAuthority(
  where: Endpoint & { readonly patience?: number },
  wanted: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  using context = new TlsContext({});
  const stream = await begin(where, context);
  try {
    const found = stream.sentCertificates().find((certificate) =>
      fingerprint(certificate).every((byte, index) => byte === wanted[index])
    );
    if (found !== undefined) return found;
    throw stranger(where);
  } finally {
    stream.close();
  }
}

function stranger(where: Endpoint, cause?: unknown): DialError {
  return new DialError(
    "stranger",
    where,
    "it cannot prove that it belongs to the cluster; nothing was sent to it",
    "See that the address is right and that nobody is in between; a token of another cluster does not do",
    { cause },
  );
}

async function begin(
  where: Endpoint & Pick<DialOptions, "patience" | "unanswered">,
  context: TlsContext,
): Promise<TlsStream> {
  const patience = where.patience ?? PATIENCE;
  let connection: Deno.TcpConn;
  try {
    connection = await connect(where, patience);
    quicken(connection, where.unanswered);
  } catch (error) {
    throw new DialError(
      "away",
      where,
      messageOf(error),
      `See that its agent runs, and that no firewall keeps TCP port ${where.port} closed`,
      { cause: error },
    );
  }
  try {
    return await TlsStream.begin(connection, context, "client", patience);
  } catch (error) {
    throw explain(error, where);
  }
}

function explain(error: unknown, where: Endpoint): Error {
  if (error instanceof DialError) return error;
  if (!(error instanceof TlsRefusal)) {
    return new DialError(
      "away",
      where,
      error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted
        ? "no answer in time"
        : messageOf(error),
      "See the log of that host's agent",
      { cause: error },
      true,
    );
  }
  switch (error.kind) {
    case "unbelieved":
      return stranger(where, error);
    case "expired-there":
      return new DialError(
        "stranger",
        where,
        `${error.message}; nothing was sent to it`,
        "Compare the clocks of both hosts; its agent renews its certificate when it reaches the store",
        { cause: error },
      );
    case "expired":
      return new DialError(
        "refused",
        where,
        error.message,
        "Compare the clocks of both hosts; else let this host join again with a new token",
        { cause: error },
      );
    case "unbelieving":
      return new DialError(
        "refused",
        where,
        error.message,
        "Let this host join that cluster with a token of that cluster",
        { cause: error },
      );
    case "late":
    case "cut":
    case "garbled":
      return new DialError(
        error.kind === "garbled" ? "stranger" : "away",
        where,
        error.message,
        "See that the port is the one of knet's agent, and the log of that host's agent",
        { cause: error },
        error.kind !== "garbled",
      );
  }
}

async function connect({ address, port }: Endpoint, patience: number): Promise<Deno.TcpConn> {
  let late = false;
  const asked = Deno.connect({ hostname: address, port });
  let timer: { cancel(): void } | undefined;
  try {
    return await Promise.race([
      asked,
      new Promise<never>((_, reject) => {
        timer = after(patience, () => {
          late = true;
          reject(new Error("no answer"));
        });
      }),
    ]);
  } finally {
    timer?.cancel();
    if (late) void asked.then((stream: ByteStream) => closeQuietly(stream), () => {});
  }
}
