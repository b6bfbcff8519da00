import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance, nearest } from "./suggest.ts";

Deno.test("editDistance() counts added, dropped, changed and swapped letters", () => {
  assert.equal(editDistance("lease", "lease"), 0);
  assert.equal(editDistance("lease", "leases"), 1);
  assert.equal(editDistance("status", "staus"), 1);
  assert.equal(editDistance("vxlan", "vxlsn"), 1);
  assert.equal(editDistance("json", "jsno"), 1);
  assert.equal(editDistance("", "abc"), 3);
});

Deno.test("editDistance() is symmetric and bounded by the longer word", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(fc.property(word, word, (a, b) => {
    const distance = editDistance(a, b);
    assert.equal(distance, editDistance(b, a));
    assert.ok(distance <= Math.max(a.length, b.length));
    assert.equal(distance === 0, a === b);
  }));
});

Deno.test("nearest() suggests what is near, or begins alike, and nothing else", () => {
  const words = ["init", "join", "leave", "status", "attach", "detach"];
  assert.equal(nearest("statsu", words), "status");
  assert.equal(nearest("jion", words), "join");
  assert.equal(nearest("att", words), "attach");
  assert.equal(nearest("frobnicate", words), undefined);
});
