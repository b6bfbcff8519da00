/**
 * A throw-away Postgres inside a namespace of the lab, with its default settings.
 *
 * @module
 */
import { exec, type Outcome } from "./exec.ts";
import { programsDirectory, stopAfterwards } from "./postgres.ts";

/** A Postgres on the underlay. */
export class LabPostgres implements AsyncDisposable {
  /** URL of the `knet` role's database. */
  readonly url: string;
  readonly address: string;
  readonly #netns: string;
  readonly #directory: string;
  readonly #programs: string;
  readonly #options: string;
  readonly #port: number;
  readonly #end: AsyncDisposable;
  /** Whether nothing reaches it. */
  isCut = false;

  constructor(netns: string, address: string, port: number, directory: string, programs: string) {
    this.url = `postgres://knet:overlay-secret@${address}:${port}/knet`;
    this.address = address;
    this.#netns = netns;
    this.#end = stopAfterwards(programs, `${directory}/pg`, directory);
    this.#directory = directory;
    this.#programs = programs;
    this.#port = port;
    this.#options = `-p ${port} -k ${directory} -c listen_addresses=* -c fsync=off`;
  }

  async #asPostgres(command: string): Promise<Outcome> {
    return await exec([
      "ip",
      "netns",
      "exec",
      this.#netns,
      "su",
      "postgres",
      "-s",
      "/bin/sh",
      "-c",
      command,
    ]);
  }

  /** Makes the data directory, starts the server and makes role and database. */
  async create(): Promise<void> {
    const data = this.#directory;
    await this.#asPostgres(`${this.#programs}/initdb -D ${data}/pg -A trust -N >/dev/null`);
    await Deno.writeTextFile(
      `${data}/pg/pg_hba.conf`,
      "local all postgres trust\nhost replication postgres 192.168.2.0/24 trust\nhost all all 0.0.0.0/0 scram-sha-256\n",
    );
    await this.start();
    await this.sql("create role knet login password 'overlay-secret'", "postgres");
    await this.sql("create database knet owner knet", "postgres");
  }

  /** Starts the server. */
  async start(): Promise<void> {
    const { stdout } = await this.#asPostgres(
      `cd ${this.#directory} && ${this.#programs}/pg_ctl -D pg -l log -w -o '${this.#options}' start`,
    );
    if (!stdout.includes("server started")) throw new Error(stdout);
  }

  /** Stops the server: at once, or (`fast`) after a standby has what it has. */
  async stop(how: "fast" | "immediate" = "immediate"): Promise<void> {
    await this.#asPostgres(
      `cd ${this.#directory} && ${this.#programs}/pg_ctl -D pg -m ${how} -w stop`,
    );
  }

  /** Makes a standby the primary. */
  async promote(): Promise<void> {
    await this.#asPostgres(`${this.#programs}/pg_ctl -D ${this.#directory}/pg -w promote`);
  }

  /** Makes it follow another one, from a fresh copy of it; what it had is gone. */
  async follow(other: LabPostgres): Promise<void> {
    await this.#asPostgres(
      `cd ${this.#directory} && rm -rf pg && ${this.#programs}/pg_basebackup -D pg -h ${other.address} -p ${this.#port} -U postgres -R -X stream -c fast --no-sync`,
    );
    await this.start();
  }

  /** Runs a statement as superuser; returns the rows, columns joined by `|`. */
  async sql(statement: string, database = "knet"): Promise<string> {
    const quoted = statement.replaceAll("'", `'\\''`);
    const line =
      `cd ${this.#directory} && psql -h ${this.#directory} -At -v ON_ERROR_STOP=1 ${database} -c '${quoted}'`;
    return (await this.#asPostgres(line)).stdout.trim();
  }

  /** Drops or lets through every packet to and from the server, which answers nothing meanwhile. */
  async cut(on: boolean): Promise<void> {
    if (on === this.isCut) return;
    this.isCut = on;
    const rules = on
      ? "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }; add chain inet cut out { type filter hook output priority 0; policy drop; }"
      : "delete table inet cut";
    await exec(["ip", "netns", "exec", this.#netns, "nft", rules]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end[Symbol.asyncDispose]();
  }
}

/**
 * Starts a Postgres in a namespace.
 *
 * @param primary Whose standby it is to be, if any.
 */
export async function startLabPostgres(
  netns: string,
  address: string,
  port: number,
  primary?: LabPostgres,
): Promise<LabPostgres> {
  const directory = await Deno.makeTempDir({ prefix: "knet-pg-" });
  await exec(["chown", "postgres", directory]);
  const server = new LabPostgres(netns, address, port, directory, await programsDirectory());
  try {
    await (primary === undefined ? server.create() : server.follow(primary));
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}
