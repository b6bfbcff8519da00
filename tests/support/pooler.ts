/**
 * A throw-away pgbouncer before a throw-away Postgres.
 *
 * @module
 */
import { Background } from "./exec.ts";
import type { Postgres } from "./postgres.ts";

/** A running pooler. */
export interface Pooler extends AsyncDisposable {
  /** On 127.0.0.1, without TLS. */
  readonly port: number;
}

/** Starts one in a pool mode; it may not answer at once. @param user Of its connections to the server. */
export async function startPooler(
  server: Postgres,
  mode: "transaction" | "session",
  user: string,
): Promise<Pooler> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const file = `${server.folder}/pgbouncer.ini`;
  await Deno.writeTextFile(
    file,
    `[databases]
     postgres = host=127.0.0.1 port=${server.port} user=${user}
     [pgbouncer]
     listen_addr = 127.0.0.1
     listen_port = ${port}
     unix_socket_dir =
     auth_type = any
     pool_mode = ${mode}\n`,
  );
  // Not by su, which would stay in between and keep the signal to itself.
  const line = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
  const process = new Background([...line, "pgbouncer", file]);
  return { port, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}
