/**
 * A Postgres primary and a standby that follows it by streaming replication, both throw-away.
 *
 * @module
 */
import { programsDirectory, stopAfterwards } from "./postgres.ts";

/** One of the two. */
export class PairedServer {
  readonly name: string;
  readonly port: number;
  readonly data: string;
  readonly #programs: string;
  readonly #folder: string;

  constructor(programs: string, folder: string, name: string, port: number) {
    this.#programs = programs;
    this.#folder = folder;
    this.name = name;
    this.port = port;
    this.data = `${folder}/${name}`;
  }

  /** Runs a shell line as the server's user. */
  async shell(line: string): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("su", {
      args: ["postgres", "-s", "/bin/sh", "-c", line],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (!success) throw new Error(`${line}: ${text(stderr)}${text(stdout)}`);
    return text(stdout);
  }

  /** Runs a statement by psql and returns what it prints. */
  async sql(statement: string): Promise<string> {
    return (await this.shell(
      `${this.#programs}/psql -X -h ${this.#folder} -p ${this.port} -U knet -d postgres -Atc "${statement}"`,
    )).trim();
  }

  async start(): Promise<void> {
    await this.shell(
      `${this.#programs}/pg_ctl -D ${this.data} -l ${this.#folder}/${this.name}.log -o "-p ${this.port} -k ${this.#folder} -h 127.0.0.1 -c fsync=off" -w start >/dev/null 2>&1`,
    );
  }

  async stop(how: "fast" | "immediate" = "fast"): Promise<void> {
    await this.shell(`${this.#programs}/pg_ctl -D ${this.data} -m ${how} -w stop`);
  }

  async promote(): Promise<void> {
    await this.shell(`${this.#programs}/pg_ctl -D ${this.data} -w promote`);
  }

  /** Makes it follow another one, from a fresh copy of it. */
  async follow(other: PairedServer): Promise<void> {
    await this.shell(`rm -rf ${this.data} && ${this.#programs}/pg_basebackup -D ${this.data} \
      -h ${this.#folder} -p ${other.port} -U knet -R -X stream -c fast --no-sync`);
    await this.start();
  }

  /** Stops or continues all of its processes: it answers nothing, and hangs up on nobody. */
  async freeze(signal: "STOP" | "CONT"): Promise<void> {
    const [pid] = (await this.shell(`cat ${this.data}/postmaster.pid`)).split("\n");
    // The first one first, so that it makes no others meanwhile.
    await this.shell(`kill -${signal} ${pid}; pkill -${signal} -P ${pid} || true`);
  }
}

/** The two. */
export interface PostgresPair extends AsyncDisposable {
  readonly first: PairedServer;
  readonly second: PairedServer;
  /** Both in one URL. */
  readonly url: string;
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** Starts both; the first is the primary. */
export async function startPair(): Promise<PostgresPair> {
  const folder = await Deno.makeTempDir({ prefix: "knet-postgres-pair-" });
  const programs = await programsDirectory();
  const first = new PairedServer(programs, folder, "first", freePort());
  const second = new PairedServer(programs, folder, "second", freePort());
  const ends = [second, first].map(({ data }) => stopAfterwards(programs, data, data));
  const whole = async () => {
    for (const server of [first, second]) await server.freeze("CONT").catch(() => {});
    for (const end of ends) await end[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  };
  try {
    const { stdout } = await new Deno.Command("id", { args: ["-u", "postgres"] }).output();
    await Deno.chown(folder, Number(new TextDecoder().decode(stdout)), null);
    await first.shell(`${programs}/initdb -D ${first.data} -U knet -A trust --no-sync`);
    await first.start();
    await second.follow(first);
  } catch (error) {
    await whole();
    throw error;
  }
  return {
    first,
    second,
    url: `postgres://knet@127.0.0.1:${first.port},127.0.0.1:${second.port}/postgres`,
    [Symbol.asyncDispose]: whole,
  };
}
