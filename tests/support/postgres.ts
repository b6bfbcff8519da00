/**
 * A throw-away Postgres server on a Unix socket.
 *
 * @module
 */

import { afterwards } from "./afterwards.ts";

/** Where the programs of the newest Postgres on this machine are. */
export async function programsDirectory(): Promise<string> {
  const base = "/usr/lib/postgresql";
  const versions: number[] = [];
  for await (const { name } of Deno.readDir(base)) versions.push(Number(name));
  return `${base}/${Math.max(...versions)}/bin`;
}

async function asPostgres(line: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("su", {
    args: ["postgres", "-s", "/bin/sh", "-c", line],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${line}: ${new TextDecoder().decode(stderr)}`);
}

/** Stops a server and removes its folder when this process is gone, or at disposal. */
export function stopAfterwards(programs: string, data: string, folder: string): AsyncDisposable {
  return afterwards(
    `su postgres -s /bin/sh -c '${programs}/pg_ctl -D ${data} -m immediate -w stop'; rm -rf '${folder}'`,
  );
}

/** A running server. */
export interface Postgres extends AsyncDisposable {
  /** As superuser, over TCP without TLS. */
  readonly url: string;
  readonly port: number;
  /** Directory of its Unix socket; with `tls` of `ca.pem` too. */
  readonly folder: string;
  restart(how: "fast" | "immediate"): Promise<void>;
}

/** An authority, and a certificate of it for localhost and 127.0.0.1. */
const CERTIFICATES = `
  set -e
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr
  printf "subjectAltName=DNS:localhost,IP:127.0.0.1" > san
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem
  chmod 600 server.key`;

/**
 * Starts a server with default settings on a free port of the loopback address; disposing it stops it.
 *
 * @param options.tls With a certificate of an authority in `ca.pem`.
 * @param options.settings More options of the server, `-c name=value`.
 */
export async function startPostgres(
  options: { tls?: boolean; settings?: string } = {},
): Promise<Postgres> {
  const folder = await Deno.makeTempDir({ prefix: "knet-postgres-" });
  const programs = await programsDirectory();
  const end = stopAfterwards(programs, `${folder}/db`, folder);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const { stdout } = await new Deno.Command("id", { args: ["-u", "postgres"] }).output();
  await Deno.chown(folder, Number(new TextDecoder().decode(stdout)), null);
  if (options.tls) await asPostgres(`cd ${folder}\n${CERTIFICATES}`);
  const tls = options.tls
    ? `-c ssl=on -c ssl_cert_file=${folder}/server.pem -c ssl_key_file=${folder}/server.key`
    : "";
  await asPostgres(`${programs}/initdb -D ${folder}/db -U knet -A trust --no-sync`);
  const listens = `-p ${port} -k ${folder} -h 127.0.0.1 -c fsync=off`;
  const started = (command: string) =>
    asPostgres(
      `${programs}/pg_ctl -D ${folder}/db -l ${folder}/log -o "${listens} ${tls} ${
        options.settings ?? ""
      }" -w ${command} >/dev/null 2>&1`,
    );
  await started("start");
  return {
    url: `postgres://knet@127.0.0.1:${port}/postgres`,
    port,
    folder,
    restart: (how) => started(`-m ${how} restart`),
    [Symbol.asyncDispose]: () => end[Symbol.asyncDispose](),
  };
}
