import assert from "node:assert/strict";
import { embed, statementsOf, withoutMethod } from "./migrations.ts";

Deno.test("embed() makes of the files what is in the tree", () => {
  const held = new URL("../core/store/migrations/embedded.ts", import.meta.url);
  assert.equal(embed(), Deno.readTextFileSync(held));
});

Deno.test("statementsOf() refuses what SQLite does not take", () => {
  const text =
    'CREATE TABLE "a" ("b" text);\n--> statement-breakpoint\nALTER TABLE "a" ADD "c" text;';
  assert.deepEqual(statementsOf("a.sql", text), [
    'CREATE TABLE "a" ("b" text);',
    'ALTER TABLE "a" ADD "c" text;',
  ]);
  for (
    const statement of [
      'ALTER TABLE "a" ADD CONSTRAINT "u" UNIQUE("b")',
      'ALTER TABLE "a" ALTER COLUMN "b" SET NOT NULL',
      'DROP TABLE "a"',
    ]
  ) assert.throws(() => statementsOf("a.sql", statement), /SQLite does not take/);
});

Deno.test("withoutMethod() takes the method out of an index, and nothing else", () => {
  assert.equal(
    withoutMethod('CREATE INDEX "a" ON "b" USING btree ("c") WHERE "b"."c" > 0;'),
    'CREATE INDEX "a" ON "b" ("c") WHERE "b"."c" > 0;',
  );
});
