import assert from "node:assert/strict";
import { LeftOut } from "./left_out.ts";

const row = (n: number) => ({ what: `lease of node "${n}"`, state: "it is none" });
const nothing = { full: true, problems: [], config: null };

Deno.test("LeftOut says nothing and asks for nothing while all can be used", () => {
  const left = new LeftOut();
  left.note(nothing);
  assert.deepEqual([left.warnings, left.due, left.config], [[], Infinity, undefined]);
});

Deno.test("LeftOut names rows until a look at everything finds them right", () => {
  const left = new LeftOut();
  left.note({ full: true, problems: [row(1)] });
  left.note({ full: false, problems: [row(2)] });
  left.note({ full: false, problems: [row(2)] });
  left.note({ full: false, problems: [] });
  assert.deepEqual(left.warnings, [
    'Cannot use the lease of node "1" in the store, it is left out: it is none',
    'Cannot use the lease of node "2" in the store, it is left out: it is none',
  ]);
  assert.ok(left.due < Infinity);
  left.note(nothing);
  assert.deepEqual([left.warnings, left.due], [[], Infinity]);
});

Deno.test("LeftOut names twenty rows, and counts the rest", () => {
  const left = new LeftOut();
  left.note({ full: true, problems: Array.from({ length: 1000 }, (_, n) => row(n)) });
  assert.equal(left.warnings.length, 21);
  assert.match(left.warnings[20]!, /980 more rows/);
});

Deno.test("LeftOut says what is wrong with the configuration, once, until a good one comes", () => {
  const left = new LeftOut();
  const wrong = { what: "cluster configuration", state: "it has no network" };
  left.note({ full: false, problems: [wrong], configProblem: wrong.state });
  assert.equal(left.config, "it has no network");
  assert.deepEqual(left.warnings, [
    "Cannot use the cluster configuration in the store: it has no network; this host goes on with the one that it had",
  ]);
  const { due } = left;
  left.note({ full: false, problems: [] });
  assert.deepEqual([left.config, left.due], ["it has no network", due]);
  left.note({ full: false, problems: [], config: {} as never });
  assert.deepEqual([left.warnings, left.due], [[], Infinity]);
});
