/**
 * Postgres URLs as libpq has them ("Connection URIs" in PostgreSQL's manual), as far as they name a store.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";

/** Where a server listens. */
export interface PostgresPlace {
  /** Name, address, or the directory of a Unix socket, which begins with a slash. */
  readonly host: string;
  readonly port: number;
}

/** Where the server is and how to speak to it. */
export interface PostgresTarget {
  /** One or several, tried in turn. */
  readonly hosts: readonly PostgresPlace[];
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly schema: string | undefined;
  /** Take only a server that lets us write, of several. */
  readonly readWrite: boolean;
  readonly tls: TlsChoice | undefined;
  /** Milliseconds that one server may take to answer at connecting, if the URL says so. */
  readonly connectTimeout?: number;
  /** Settings of the session, as `options` has them: `-c geqo=off`. */
  readonly session?: string;
}

/** How a connection is encrypted. The server's certificate is always verified, its name too. */
export interface TlsChoice {
  /** File of an authority's certificate in PEM, beside those that Deno knows. */
  readonly rootCert?: string;
  /** Without encryption if the server has none; true for sslmode=prefer and allow. */
  readonly optional?: true;
}

const PORT = 5432;
/** Encryption that verifies nobody keeps nobody out: all but the first three mean the last. */
const MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const KNOWN = new Set([
  ...["schema", "sslmode", "sslrootcert", "target_session_attrs"],
  ...["host", "port", "user", "password", "dbname", "connect_timeout", "options"],
]);
/**
 * What URLs of managed services and of other programs say beside, and need not be done here: a certificate that is verified by name
 * keeps out whom channel binding would, keepalives and names of programs are knet's own.
 */
const PASSED_OVER = new Set([
  ...["channel_binding", "application_name", "fallback_application_name", "client_encoding"],
  ...["keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"],
  ...["tcp_user_timeout", "sslsni", "sslnegotiation", "gssencmode", "load_balance_hosts"],
]);

/** For what may be a piece of a password that was not written as a URL wants it. */
const ENCODE = "Correct it; in a user and password write / as %2F, ? as %3F, # as %23 and @ as %40";

function refuse(state: string, remedy: string): KnetError {
  return new KnetError(`Cannot open the store: ${state}`, { exitCode: 2, remedy });
}

/**
 * Reads a URL, `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?OPTION=VALUE`.
 *
 * @param env Environment variables of libpq: PGUSER, PGPASSWORD, PGDATABASE, PGHOST, PGPORT.
 * @throws {KnetError} exit code 2 if it is malformed or has an option that knet does not know.
 */
export function parsePostgresUrl(
  url: string,
  env: (name: string) => string | undefined = () => undefined,
): PostgresTarget {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(
    // The user's part may hold anything, an @ too: the last one before the path ends it.
    url.replace(
      /^([^:]+:\/\/)([^/?]*)@/,
      (_, scheme, user) => scheme + user.replaceAll("@", "%40") + "@",
    ),
  );
  if (match === null) {
    throw refuse("its URL is malformed", "Write postgres://USER@HOST/DATABASE");
  }
  const [, login = "", places = "", path = "", query = ""] = match;
  const options = new Map(new URLSearchParams(query));
  for (const name of options.keys()) {
    if (KNOWN.has(name) || PASSED_OVER.has(name)) continue;
    throw refuse(
      url.includes("@")
        ? "its URL has an option that knet does not have"
        : `its URL has the option "${name}", which knet does not have`,
      `Use ${[...KNOWN].slice(0, 4).join(", ")}`,
    );
  }
  const colon = login.indexOf(":");
  const user = decode(colon < 0 ? login : login.slice(0, colon)) || options.get("user") ||
    env("PGUSER") || "knet";
  const password = (colon < 0 ? "" : decode(login.slice(colon + 1))) || options.get("password") ||
    env("PGPASSWORD");
  const port = readPort(options.get("port") ?? env("PGPORT") ?? `${PORT}`);
  const session = options.get("target_session_attrs") ?? "any";
  if (session !== "any" && session !== "read-write" && session !== "primary") {
    throw refuse(
      `its URL has target_session_attrs=${session}`,
      "knet writes: use read-write, or leave it away",
    );
  }
  return {
    hosts: (places || options.get("host") || env("PGHOST") || "localhost").split(",")
      .map((place) => readPlace(place, port)),
    database: decode(path) || options.get("dbname") || env("PGDATABASE") || user,
    user,
    password: password || undefined,
    schema: options.get("schema"),
    readWrite: session !== "any",
    tls: readTls(options),
    ...readPatience(options.get("connect_timeout")),
    ...(options.get("options") && { session: options.get("options")! }),
  };
}

/** libpq's connect_timeout: whole seconds, at least 2; 0 and less is no limit, for which the call's own deadline stands here. */
function readPatience(text: string | undefined): { connectTimeout?: number } {
  if (text === undefined) return {};
  if (!/^-?\d{1,9}$/.test(text)) {
    throw refuse(`its URL has connect_timeout=${text}`, "Give it in whole seconds");
  }
  const seconds = Number(text);
  return seconds > 0 ? { connectTimeout: Math.max(seconds, 2) * 1000 } : {};
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse("its URL has a malformed % sequence", "Write a % itself as %25");
  }
}

function readPort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  // Not quoted: of a password with a slash, the piece before it looks like a port.
  if (!/^\d+$/.test(text)) throw refuse("its port is no number", ENCODE);
  throw refuse(`its port "${text}" is not between 1 and 65535`, "Correct the port in the URL");
}

function readPlace(place: string, port: number): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(.*))?$/.exec(place);
  const host = decode(match?.[1] ?? match?.[2] ?? "");
  if (host === "") throw refuse("its URL names no host", "Write postgres://USER@HOST/DATABASE");
  return { host, port: match?.[3] === undefined ? port : readPort(match[3]) };
}

function readTls(options: ReadonlyMap<string, string>): TlsChoice | undefined {
  const rootCert = options.get("sslrootcert");
  // An authority that is named is meant to be asked.
  const mode = options.get("sslmode") ?? (rootCert === undefined ? "disable" : "verify-full");
  if (!MODES.includes(mode)) {
    throw refuse(`its URL has sslmode=${mode}`, `Use ${MODES.join(", ")}`);
  }
  if (mode === "disable") return undefined;
  return {
    ...(rootCert !== undefined && rootCert !== "system" && { rootCert }),
    ...((mode === "prefer" || mode === "allow") && { optional: true as const }),
  };
}

/** The target without its password, for messages: `postgres://knet@db:5432/knet`. */
export function describeTarget({ user, hosts, database }: PostgresTarget): string {
  const places = hosts.map(({ host, port }) =>
    `${host.includes(":") ? `[${host}]` : encodeURIComponent(host)}:${port}`
  );
  return `postgres://${encodeURIComponent(user)}@${places.join(",")}/${
    encodeURIComponent(database)
  }`;
}
