// What drizzle-kit wrote is taken by both engines, and leads to the tables that the queries are written for.
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { getTableName } from "drizzle-orm";
import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import postgres from "postgres";
import { statementsOf } from "../../dist/migrations.ts";
import * as schema from "../../core/store/schema.ts";
import { startPostgres } from "../support/postgres.ts";

const folder = new URL("../../core/store/migrations/", import.meta.url);
const files = [...Deno.readDirSync(folder)].map(({ name }) => name)
  .filter((name) => name.endsWith(".sql")).sort();

/** Columns of each table by the schema, `knet_meta: name, value`. */
const wanted = Object.values(schema).map((table: PgTable) =>
  `${getTableName(table)}: ${getTableConfig(table).columns.map(({ name }) => name).join(", ")}`
).sort();

/** Rows of (table, column) as the schema's are written. */
function shown(rows: readonly { readonly t: string; readonly c: string }[]): string[] {
  const tables = Map.groupBy(rows, ({ t }) => t);
  return [...tables].map(([t, list]) => `${t}: ${list.map(({ c }) => c).join(", ")}`).sort();
}

Deno.test("Migrations are taken by SQLite, file by file, and lead to the schema", () => {
  const database = new DatabaseSync(":memory:");
  try {
    for (const file of files) {
      const text = Deno.readTextFileSync(new URL(file, folder));
      for (const statement of statementsOf(file, text)) database.exec(statement);
    }
    const rows = database.prepare(
      "select m.name as t, c.name as c from sqlite_master m, pragma_table_info(m.name) c where m.type = 'table' order by c.cid",
    ).all() as { t: string; c: string }[];
    assert.deepEqual(shown(rows), wanted);
  } finally {
    database.close();
  }
});

Deno.test("Migrations are taken by Postgres, file by file, and lead to the schema", async () => {
  await using server = await startPostgres();
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  for (const file of files) {
    const text = Deno.readTextFileSync(new URL(file, folder));
    for (const statement of statementsOf(file, text)) await sql.unsafe(statement);
  }
  const rows = await sql.unsafe<{ t: string; c: string }[]>(
    "select table_name as t, column_name as c from information_schema.columns where table_schema = 'public' order by ordinal_position",
  );
  await sql.end();
  assert.deepEqual(shown(rows), wanted);
});
