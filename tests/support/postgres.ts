/**
 * A throw-away Postgres server on a Unix socket.
 *
 * @module
 */

const BIN = "/usr/lib/postgresql/15/bin";

async function asPostgres(line: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("su", {
    args: ["postgres", "-s", "/bin/sh", "-c", line],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${line}: ${new TextDecoder().decode(stderr)}`);
}

/** Starts a server with default settings on a free port of the loopback address; disposing it stops it. */
export async function startPostgres(): Promise<{ url: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "knet-postgres-" });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const { stdout } = await new Deno.Command("id", { args: ["-u", "postgres"] }).output();
  await Deno.chown(folder, Number(new TextDecoder().decode(stdout)), null);
  await asPostgres(`${BIN}/initdb -D ${folder}/db -U knet -A trust --no-sync`);
  await asPostgres(
    `${BIN}/pg_ctl -D ${folder}/db -l ${folder}/log -o "-p ${port} -k ${folder} -h 127.0.0.1 -c fsync=off" -w start >/dev/null 2>&1`,
  );
  return {
    url: `postgres://knet@127.0.0.1:${port}/postgres`,
    async [Symbol.asyncDispose]() {
      await asPostgres(`${BIN}/pg_ctl -D ${folder}/db -m immediate -w stop`).catch(() => {});
      await Deno.remove(folder, { recursive: true });
    },
  };
}
