import assert from "node:assert/strict";
import { copyLines } from "./copies.ts";

const copy = (name: string, more: object) => ({
  ...{ node: name, name, role: "voter" as const, leads: false },
  ...more,
});

Deno.test("copyLines() says how far each copy is, and who does not say", () => {
  const copies = [
    copy("h1", { leads: true, index: 120 }),
    copy("h2", { index: 113 }),
    copy("h3", {}),
    copy("h4", { role: "spare" }),
  ];
  const lines = new Map(copyLines(copies));
  assert.equal(lines.get("votes"), "h1, h2, h3");
  assert.equal(lines.get("log entries"), "h1 at 120, h2 7 behind, h3 does not say");
});

Deno.test("copyLines() says nothing of it where nobody was asked", () => {
  assert.equal(new Map(copyLines([copy("h1", {})])).get("log entries"), undefined);
  assert.deepEqual(copyLines(undefined), []);
});
