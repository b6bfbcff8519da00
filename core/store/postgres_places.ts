/**
 * Where a Postgres is, as the `postgres` package wants it said.
 *
 * @module
 */
import { KnetError } from "../base/error.ts";
import { readTextIfPresent } from "../base/files.ts";
import { passwordOfFile } from "./pgpass.ts";
import { connectTls } from "./postgres_tls.ts";
import type { PostgresTarget } from "./postgres_url.ts";

/** What the URL leaves to PGPASSFILE, which the `postgres` package does not know. */
export function passwordFor(target: PostgresTarget): string | undefined {
  if (target.password !== undefined) return target.password;
  const { database, user } = target;
  for (const { host, port } of target.hosts) {
    const found = passwordOfFile({ host, port: `${port}`, database, user });
    if (found !== undefined) return found;
  }
  return undefined;
}

function needText(path: string): string {
  const text = readTextIfPresent(path);
  if (text !== undefined) return text;
  throw new KnetError(`Cannot open the store: there is no file "${path}"`, {
    exitCode: 2,
    remedy: "Correct the path in the store's URL",
  });
}

/** Several hosts as arrays, one as it is: the package finds a Unix socket only so. */
export function places({ hosts, tls }: PostgresTarget): Record<string, unknown> {
  const first = hosts[0]!;
  if (first.host.startsWith("/")) return { path: `${first.host}/.s.PGSQL.${first.port}` };
  const place = hosts.length > 1
    ? { host: hosts.map(({ host }) => host), port: hosts.map(({ port }) => port) }
    : { ...first };
  if (tls === undefined) return place;
  const authority = tls.rootCert === undefined ? undefined : needText(tls.rootCert);
  return { ...place, socket: connectInTurn(hosts, authority) };
}

/** Takes the next host with each call, and the one after if that does not answer: with a socket of ours the package does not. */
function connectInTurn(
  hosts: PostgresTarget["hosts"],
  authority: string | undefined,
): () => ReturnType<typeof connectTls> {
  let next = 0;
  return async () => {
    for (let tries = 1;; tries++) {
      try {
        return await connectTls(hosts[next++ % hosts.length]!, authority);
      } catch (error) {
        if (tries >= hosts.length) throw error;
      }
    }
  };
}
