/**
 * The engines of the store, for tests of the contract.
 *
 * @module
 */
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { KnetError } from "../../core/base/error.ts";
import { monotonicClock } from "../../core/base/clock.ts";
import { LeaderFinder, type Way } from "../../core/store/dqlite/leader.ts";
import { openStore, type StoreOptions } from "../../core/store/open.ts";
import type { StoreAdmin } from "../../core/store/admin.ts";
import type { Store } from "../../core/store/store.ts";
import { remoteStore } from "../../core/store/remote/remote_store.ts";
import { ModelDatabase, modelStore, plainWay } from "./model_store/model_store.ts";
import { startPostgres } from "./postgres.ts";
import { serveStore } from "./remote_store.ts";

/** For `assert.rejects`: an error that the store's content is the reason of. */
export const refusal = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KnetError);
  assert.equal(error.exitCode, 4);
  assert.match(error.message, message);
  return true;
};

/** Opens two connections to one fresh, configured database, and hands them to the test; `url` opens more. */
export type Fresh = (
  request: Parameters<typeof makeClusterConfig>[0],
  run: (a: Store, b: Store, url: string) => Promise<void>,
) => Promise<void>;

/** Files in folders of their own. */
function sqlite(options: StoreOptions): { fresh: Fresh } & AsyncDisposable {
  return {
    async fresh(request, run) {
      const folder = await Deno.makeTempDir({ prefix: "knet-store-" });
      try {
        const url = `sqlite:${folder}/knet.db`;
        await using a = await openStore(url, options);
        await using b = await openStore(url, options);
        await a.initConfig(makeClusterConfig(request));
        await run(a, b, url);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** A SQLite file behind a server of the store's own interface, which two clients reach by a socket. */
function remote(): { fresh: Fresh } & AsyncDisposable {
  const local = sqlite({});
  return {
    fresh: (request, run) =>
      local.fresh(request, async (_a, _b, url) => {
        await using served = await serveStore(url);
        await using a = remoteStore(served.way);
        await using b = remoteStore(served.way);
        await run(a, b, url);
      }),
    [Symbol.asyncDispose]: () => local[Symbol.asyncDispose](),
  };
}

/** Takes all tables away. */
async function emptyDqlite(way: Way): Promise<void> {
  using leader = await new LeaderFinder(way).connect(monotonicClock() + 10_000);
  await leader.open();
  const tables = await leader.run("select name from sqlite_master where type = 'table'");
  await leader.run("begin immediate");
  for (const [name] of tables) await leader.run(`drop table "${name}"`);
  await leader.run("commit");
}

/** All engines, SQLite in this thread and as an agent has it; each is started for a file of tests. */
export const engines: Record<string, () => Promise<{ fresh: Fresh } & AsyncDisposable>> = {
  sqlite: () => Promise.resolve(sqlite({})),
  "sqlite in a worker": () => Promise.resolve(sqlite({ background: true })),
  remote: () => Promise.resolve(remote()),
  async dqlite() {
    const { startThree } = await import("./dqlite.ts");
    const cluster = await startThree();
    const [first, second] = cluster.hosts;
    const options = { way: first!.replica.way };
    return {
      async fresh(request, run) {
        await emptyDqlite(cluster.hosts[0]!.replica.way);
        // One as the agent opens it, one as a command on another host does.
        await using a = await openStore("dqlite:", options);
        await using b = await openStore(`dqlite:${second!.directory}`);
        await a.initConfig(makeClusterConfig(request));
        await run(a, b, `dqlite:${second!.directory}`);
      },
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    };
  },
  async postgres() {
    const server = await startPostgres();
    let count = 0;
    return {
      async fresh(request, run) {
        const { default: postgres } = await import("postgres");
        const schema = `s${++count}`;
        const sql = postgres(server.url, { max: 1, onnotice: () => {} });
        await sql.unsafe(`create schema ${schema}`);
        await sql.end();
        const url = `${server.url}?schema=${schema}`;
        await using a = await openStore(url);
        await using b = await openStore(url);
        await a.initConfig(makeClusterConfig(request));
        await run(a, b, url);
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};

/** The model that stands for the engines in simulations; the administrator can but adopt it. */
function model(): { fresh: Fresh; adopt: StoreAdmin["adopt"] } & AsyncDisposable {
  let database = new ModelDatabase();
  return {
    async fresh(request, run) {
      database = new ModelDatabase();
      const [a, b] = [modelStore(plainWay(database)), modelStore(plainWay(database))];
      await a.initConfig(makeClusterConfig(request));
      await run(a, b, "model:");
    },
    adopt: async (known) => await database.adopt(known),
    async [Symbol.asyncDispose]() {},
  };
}

/** All engines, and the model of them: whatever needs no database of rows. */
export const enginesAndModel: Record<
  string,
  () => Promise<{ fresh: Fresh; adopt?: StoreAdmin["adopt"] } & AsyncDisposable>
> = { ...engines, model: () => Promise.resolve(model()) };
