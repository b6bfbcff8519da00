import assert from "node:assert/strict";
import { makeClusterConfig } from "../cluster/config.ts";
import { openStore } from "./open.ts";
import { tallyOf } from "./row_marks.ts";

Deno.test("a tally of SQLite's rows is the one of the marks that a reader keeps", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-marks-" });
  try {
    await using store = await openStore(`sqlite:${folder}/knet.db`);
    await store.initConfig(makeClusterConfig({}));
    await store.reserveLease("10.244.7.0/24", "192.168.2.7");
    const { tally } = await store.changesSince(0, "tally");
    const { marks } = await store.changesSince(0, "rows");
    assert.equal(tally, tallyOf(marks.filter(({ gone }) => !gone).map(({ revision }) => revision)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
