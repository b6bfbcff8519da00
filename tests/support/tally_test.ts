/** @module */
import assert from "node:assert/strict";
import { couldNotStart, tallyOf } from "./tally.ts";

Deno.test("tallyOf() reads Deno's summary line, colours and steps included", () => {
  const lines = [
    "x ... ok (1ms)",
    "\u001b[32mok\u001b[0m | 12 passed (3 steps) | 0 failed | 2 ignored (2s)",
  ];
  const { passed, failed, skipped } = tallyOf(lines, 0);
  assert.deepEqual({ passed, failed, skipped }, { passed: 12, failed: 0, skipped: 2 });
});

Deno.test("tallyOf() counts a SKIPPED line as skipped, not as passed", () => {
  const lines = ["SKIPPED a: needs root", "ok | 2 passed | 0 failed (2s)"];
  const tally = tallyOf(lines, 0);
  assert.equal(tally.passed, 1);
  assert.equal(tally.skipped, 1);
  assert.deepEqual(tally.notes, ["SKIPPED a: needs root"]);
});

Deno.test("tallyOf() counts a module that does not load as one failure", () => {
  assert.equal(tallyOf([], 1).failed, 1);
});

Deno.test("tallyOf() says why a module did not load", () => {
  const lines = ["\u001b[31merror\u001b[0m: Import 'file:///tests/vm' failed."];
  assert.deepEqual(tallyOf(lines, 1).notes, [
    "FAILED a test module did not load: Import 'file:///tests/vm' failed.",
  ]);
});

Deno.test("couldNotStart() is one failure with the first line of its reason", () => {
  const error = new Error("Cannot start a virtual machine: needs QEMU\nand more");
  assert.deepEqual(couldNotStart("vm", error), {
    passed: 0,
    failed: 1,
    skipped: 0,
    notes: ["FAILED vm could not start: Cannot start a virtual machine: needs QEMU"],
  });
});

Deno.test("tallyOf() names failed tests once, without their steps", () => {
  const lines = [
    "  s2 ... FAILED (1ms)",
    "steps ... FAILED (due to 1 failed step) (1ms)",
    "FAILED | 0 passed | 1 failed (1 step) (9ms)",
  ];
  assert.deepEqual(tallyOf(lines, 1).notes, ["FAILED steps"]);
});
