import assert from "node:assert/strict";
import { errnoName, errnoNumber, errnoText } from "./errno.ts";

Deno.test("errnoName() names what the kernel answers with", () => {
  assert.equal(errnoName(1), "EPERM");
  assert.equal(errnoName(11), "EAGAIN");
  assert.equal(errnoName(95), "EOPNOTSUPP");
  assert.equal(errnoName(100), "ENETDOWN");
  assert.equal(errnoText(100), "Network is down");
  assert.equal(errnoName(4711), "errno 4711");
  assert.equal(errnoText(4711), "Unknown error 4711");
});

Deno.test("errnoNumber() is the inverse of errnoName()", () => {
  for (let number = 1; number < 140; number++) {
    const name = errnoName(number);
    if (name.startsWith("E")) assert.equal(errnoNumber(name), number);
  }
  assert.throws(() => errnoNumber("ENOTHING"), RangeError);
});
