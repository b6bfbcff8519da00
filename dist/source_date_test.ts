import assert from "node:assert/strict";
import { setDates, sourceDate } from "./source_date.ts";

Deno.test("sourceDate() is that of the environment, else the commit's", () => {
  assert.equal(sourceDate("1700000000"), 1_700_000_000);
  assert.throws(() => sourceDate("yesterday"), /SOURCE_DATE_EPOCH is "yesterday"/);
  assert.equal(sourceDate(""), sourceDate(undefined));
});

Deno.test("setDates() reaches files in folders, and the folders", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-dates-" });
  try {
    Deno.mkdirSync(`${folder}/a/b`, { recursive: true });
    Deno.writeTextFileSync(`${folder}/a/b/c`, "");
    setDates(folder, 1_700_000_000);
    for (const path of ["", "/a", "/a/b", "/a/b/c"]) {
      assert.equal(Deno.statSync(folder + path).mtime!.getTime(), 1_700_000_000_000, path);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
