import assert from "node:assert/strict";
import fc from "fast-check";
import { readFailure, readFiles, readLeader, readMembers, readRows } from "./answers.ts";
import { requests } from "./requests.ts";
import { literal, makeStatement } from "./statement.ts";
import { readHead, WireError } from "./wire.ts";

Deno.test("requests.add() is a head of words and type, the id, and the address filled up", () => {
  assert.deepEqual(
    [...requests.add(2, "beta")],
    [2, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 98, 101, 116, 97, 0, 0, 0, 0],
  );
});

Deno.test("requests.exec() grows with any text and any parameters, in whole words", () => {
  const values = fc.array(
    fc.oneof(fc.integer(), fc.constant(null), fc.double({ noNaN: true }), fc.string()),
    {
      maxLength: 255,
    },
  );
  fc.assert(fc.property(fc.string({ maxLength: 2000 }), values, (sql, parameters) => {
    fc.pre(![sql, ...parameters].some((one) => typeof one === "string" && one.includes("\0")));
    const message = requests.exec(sql, parameters);
    assert.equal(readHead(message).length, message.length - 8);
  }));
});

Deno.test("answers are values or a WireError, whatever the bytes are", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of [readFailure, readFiles, readLeader, readMembers, readRows]) {
        try {
          read(bytes);
        } catch (error) {
          assert.ok(error instanceof WireError, `${error}`);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("makeStatement() writes values into the text where they are more than dqlite takes", () => {
  const many = Array.from({ length: 256 }, (_, n) => n === 0 ? "it's $2" : n === 1 ? null : n);
  const text = `insert into "a$1" values (${many.map((_, n) => `$${n + 1}`).join(", ")})`;
  const { sql, parameters } = makeStatement(text, many);
  assert.deepEqual(parameters, []);
  assert.match(sql, /^insert into "a\$1" values \('it''s \$2', null, 2, .*, 255\)$/);
  assert.equal(makeStatement(text, many.slice(1)).parameters.length, 255);
  assert.throws(() => literal("\0"), TypeError);
});
