import assert from "node:assert/strict";
import { comparison, failOverTable, headings, healingTable } from "./tables.ts";

Deno.test("comparison() takes the ratio within each round before the median", () => {
  // The second round was slow for both: the ratio of medians would be 3.
  const rounds = new Map([["knet", [1, 90, 2]], ["flannel", [4, 100, 8]]]);
  assert.deepEqual(comparison(rounds), ["2.00", "0.25 x", "8.00"]);
  assert.deepEqual(headings(["knet", "flannel"]), ["knet", "ratio", "flannel"]);
});

Deno.test("comparison() leaves out what was not measured", () => {
  assert.deepEqual(comparison(new Map([["knet", []], ["flannel", []]])), ["", "", ""]);
});

Deno.test("healingTable() says what never came back", () => {
  const by = new Map<string, (number | undefined)[]>([["knet", [3, 1, 2]], ["flannel", [
    undefined,
  ]]]);
  const text = healingTable(new Map([["a route", by]]), 60_000);
  assert.match(text, /a route +2\.00 ms +never within 60 s/);
});

Deno.test("failOverTable() has median and worst of each", () => {
  const text = failOverTable({ knet: [100, 900, 500], keepalived: [400, 200, 300] });
  assert.match(text, /last failed connection, ms +500 +300/);
  assert.match(text, /the worst of all rounds +900 +400/);
});
