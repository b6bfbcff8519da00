/**
 * The two engines of the store, for tests of the contract.
 *
 * @module
 */
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { KnetError } from "../../core/base/error.ts";
import { openStore, type StoreOptions } from "../../core/store/open.ts";
import type { Store } from "../../core/store/store.ts";
import { startPostgres } from "./postgres.ts";

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

/** Both engines, SQLite in this thread and as an agent has it; each is started for a file of tests. */
export const engines: Record<string, () => Promise<{ fresh: Fresh } & AsyncDisposable>> = {
  sqlite: () => Promise.resolve(sqlite({})),
  "sqlite in a worker": () => Promise.resolve(sqlite({ background: true })),
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
