/**
 * What a host's replica has is there to be looked at, whether anybody leads or not.
 *
 * @module
 */
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { dqliteEngine } from "../../core/store/dqlite/engine.ts";
import { openOwnCopy } from "../../core/store/own_copy.ts";
import { sqlStore } from "../../core/store/sql_store.ts";
import { hasDqlite } from "../../ffi/deep_library.ts";
import { startThree } from "../support/dqlite.ts";
import { until } from "../support/wait.ts";

Deno.test({
  name: "each host's copy of the store opens by itself, without a leader too, and leaves nothing",
  ignore: !hasDqlite(),
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    await using three = await startThree();
    const [first, second, third] = three.hosts;
    const store = sqlStore(dqliteEngine(first!.replica.way, 5000), () => {}, () => {});
    await store.initConfig(makeClusterConfig({}));
    await store.reserveLease("10.244.3.0/24", "192.168.2.9");
    await store[Symbol.asyncDispose]();
    const folder = await Deno.makeTempDir({ prefix: "knet-copy-" });
    try {
      const seen = async (directory: string) => {
        await using copy = await openOwnCopy(directory, folder);
        assert.equal(
          Deno.statSync(`${folder}/${[...Deno.readDirSync(folder)][0]!.name}`).mode! & 0o77,
          0,
        );
        return (await copy!.listLeases()).leases.map(({ subnet }) => subnet);
      };
      for (const { directory } of three.hosts) {
        await until("it has all", async () => {
          assert.deepEqual(await seen(directory), ["10.244.3.0/24"]);
          return true;
        });
      }
      await Promise.all([second!.replica.stop(), third!.replica.stop()]);
      assert.deepEqual(await seen(first!.directory), ["10.244.3.0/24"]);
      assert.deepEqual([...Deno.readDirSync(folder)], []);
      await assert.rejects(openOwnCopy(second!.directory, folder), /does not run/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
