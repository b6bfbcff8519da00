import assert from "node:assert/strict";
import { KnetError, StoreAwayError } from "../base/error.ts";
import { postgresError } from "../store/postgres_errors.ts";
import { endingLine, endOfStart, statusLine } from "./service_manager.ts";

/** What the server says, as `pg` throws it. */
const said = (code: string, message: string) =>
  postgresError(
    "postgres://knet@db/knte",
    Object.assign(new Error(message), { code, severity: "FATAL" }),
  );

Deno.test("statusLine() is one line, without passwords and without what a terminal obeys", () => {
  assert.equal(statusLine("joining"), "STATUS=joining");
  assert.equal(statusLine("a\nREADY=1\x1b[2J"), "STATUS=a\\nREADY=1\\x1b[2J");
  assert.doesNotMatch(statusLine("postgres://knet:secret@db/knet"), /secret/);
  assert.ok(statusLine("x".repeat(10_000)).length < 600);
});

Deno.test("endingLine() says what to do", () => {
  assert.equal(
    endingLine(said("3D000", 'database "knte" does not exist')),
    'STATUS=Cannot use the database postgres://knet@db/knte: database "knte" does not exist. ' +
      "Create the database, or correct its name in the store's URL",
  );
  assert.equal(endingLine(new TypeError("x is no function")), "STATUS=x is no function");
});

for (
  const [what, code] of Object.entries({
    "a database that there is not": "3D000",
    "a wrong password": "28P01",
    "a user that may not": "28000",
    "a schema that there is not": "3F000",
    "a right that is missing": "42501",
  })
) {
  Deno.test(`endOfStart() takes ${what} for wrong usage, unless the host has joined before`, () => {
    const error = said(code, "no");
    assert.equal(error.exitCode, 1);
    const end = endOfStart(error, false);
    assert.ok(end instanceof KnetError);
    assert.deepEqual([end.exitCode, end.message], [2, error.message]);
    assert.equal(end.remedy, error.remedy);
    assert.equal(endOfStart(error, true), error);
  });
}

Deno.test("endOfStart() leaves alone what may pass by itself, and what is no refusal of the server's", () => {
  for (
    const error of [
      new StoreAwayError("Cannot use the database: it starts up"),
      said("53300", "too many clients"),
      said("XX000", "internal error"),
      new KnetError("Cannot join: the node id is taken", { exitCode: 4 }),
      new TypeError("x"),
    ]
  ) assert.equal(endOfStart(error, false), error);
});
