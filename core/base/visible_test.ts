import assert from "node:assert/strict";
import fc from "fast-check";
import { visible, visibleName } from "./visible.ts";

Deno.test("visible() writes out what a terminal would obey, and nothing else", () => {
  assert.equal(visible("\x1b[2J\x07\x9b31m\x7f"), "\\x1b[2J\\x07\\u009b31m\\x7f");
  assert.equal(
    visible("a\u202eb\u2066c\u200bd\u2028e\ufeff"),
    "a\\u202eb\\u2066c\\u200bd\\u2028e\\ufeff",
  );
  assert.equal(visible("\r\0\x08"), "\\x0d\\x00\\x08");
  assert.equal(visible("\ud83d lone \ude00"), "\\ud83d lone \\ude00");
  for (const same of ["Zürich → 10.0.0.1 …\n\tnext 😀", "日本", ""]) {
    assert.equal(visible(same), same);
  }
});

Deno.test("visible() leaves nothing to obey in any text, and is done when it was done once", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const shown = visible(text);
    // deno-lint-ignore no-control-regex -- control characters are what is looked for
    assert.ok(!/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/.test(shown));
    assert.equal(visible(shown), shown);
  }));
});

Deno.test("visibleName() is one line of bounded length", () => {
  assert.equal(visibleName("a\nb\tc\x1b"), "a\\nb\\tc\\x1b");
  assert.equal(visibleName("x".repeat(1000), 10), "xxxxxxxxxx…");
});
