import assert from "node:assert/strict";
import fc from "fast-check";
import { formatSpan, parseSpan } from "./span.ts";

Deno.test("parseSpan() reads units and bare seconds", () => {
  const cases: [string, number | undefined][] = [
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["1s500ms", 1500],
    ["2", 2000],
    ["0.5", 500],
    ["1d", 86_400_000],
    ["", undefined],
    ["5 m", undefined],
    ["-1", undefined],
    ["m", undefined],
  ];
  for (const [text, span] of cases) assert.equal(parseSpan(text), span, text);
});

Deno.test("formatSpan() writes what parseSpan() reads", () => {
  fc.assert(fc.property(fc.nat(), (span) => assert.equal(parseSpan(formatSpan(span)), span)));
  assert.equal(formatSpan(90_000), "90s");
});
