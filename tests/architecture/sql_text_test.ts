/**
 * Queries are drizzle's: text of SQL stands only in the migrations and where an engine speaks to its own database.
 *
 * @module
 */
import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url).pathname;

/** What an engine says to its own database: locks, clocks, transactions, how rows come. */
const ENGINES = /^core\/store\/((sqlite|postgres)(_[a-z]+)?|dqlite\/engine)\.ts$/;
const MIGRATIONS = "core/store/migrations/";

/** The beginning of a statement in a text. */
const STATEMENT =
  /(["'`])\s*(select\s+[\w"*(]|insert\s+(or\s+\w+\s+)?into\s|update\s+[\w"$]+[^"'`]*\sset\s|delete\s+from\s|replace\s+into\s|with\s+\w+\s*(\([^)]*\))?\s+as\s|(create|alter|drop)\s+(unique\s+)?(table|index|view|trigger)\s|truncate\s|pragma\s|begin(\s+(immediate|exclusive|deferred))?\1|commit\1|rollback\1)/i;

function sources(folder: string): string[] {
  return [...Deno.readDirSync(root + folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sources(path);
    return name.endsWith(".ts") && !name.endsWith("_test.ts") ? [path] : [];
  });
}

/** Lines with SQL in them, comments apart. */
function statements(path: string, text: string): string[] {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, "")).split("\n")
    .flatMap((line, n) => STATEMENT.test(line) ? [`${path}:${n + 1}: ${line.trim()}`] : []);
}

Deno.test("no text of SQL stands outside migrations and engines", () => {
  const found = ["core", "cli"].flatMap(sources)
    .filter((path) => !ENGINES.test(path) && !path.startsWith(MIGRATIONS))
    .flatMap((path) => statements(path, Deno.readTextFileSync(root + path)));
  assert.deepEqual(found, []);
});

Deno.test("the search for SQL knows it when it sees it", () => {
  for (
    const text of [
      '"select name, value from knet_meta"',
      "`insert into knet_services (${COLUMNS}) values ${list}`",
      '"update knet_meta set value = value + 1"',
      "`delete from ${table} where deleted > 0`",
      '"create unique index a on b (c)"',
      "'CREATE TABLE a (b text)'",
      '"begin immediate"',
      '"pragma journal_mode"',
    ]
  ) assert.equal(statements("x.ts", `query(${text})`).length, 1, text);
  for (const text of ['"choose"', '"update"', "// select a from b", '"begin with"']) {
    assert.deepEqual(statements("x.ts", text), [], text);
  }
  assert.ok(ENGINES.test("core/store/postgres.ts"));
  assert.ok(!ENGINES.test("core/store/services.ts"));
});
