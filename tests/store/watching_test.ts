/**
 * Watching the SQLite file for changes must not cost the process its locks on it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import { exec } from "../support/exec.ts";

const PROCESSES = 3;
const LEASES = 30;
const program = new URL("../support/watching_driver.ts", import.meta.url).pathname;

Deno.test("processes that write and watch one SQLite file at once see no error, and it stays whole", async () => {
  const directory = await Deno.makeTempDir({ prefix: "knet-store-" });
  try {
    const file = `${directory}/knet.db`;
    {
      await using store = await openStore(`sqlite:${file}`);
      await store.initConfig(makeClusterConfig({}));
    }
    const outputs = await Promise.all(
      Array.from({ length: PROCESSES }, (_, n) => {
        const line = [Deno.execPath(), "run", "-q", "-A", "--no-check", program];
        return exec([...line, `sqlite:${file}`, `p${n}-`, `${LEASES}`]);
      }),
    );
    assert.deepEqual(outputs.map((output) => output.stdout.trim()), ["", "", ""]);
    const database = new DatabaseSync(file);
    try {
      const [check] = database.prepare("pragma integrity_check").all();
      assert.equal(check?.["integrity_check"], "ok");
      const [row] = database.prepare("select count(*) as n from knet_leases").all();
      assert.equal(row?.["n"], PROCESSES * LEASES);
    } finally {
      database.close();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
