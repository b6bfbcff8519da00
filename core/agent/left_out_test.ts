import assert from "node:assert/strict";
import { LeftOut, type Noted } from "./left_out.ts";

const row = (n: number) => ({ what: `lease of node "${n}"`, state: "it is none" });
/** What is read where nothing has changed. */
const quiet = (more: Partial<Noted> = {}): Noted => ({
  ...{ full: false, problems: [], leases: [], removed: [], services: [], removedServices: [] },
  ...more,
});
const nothing = quiet({ full: true, config: null });

Deno.test("LeftOut says nothing and asks for nothing while all can be used", () => {
  const left = new LeftOut();
  left.note(nothing);
  assert.deepEqual([left.warnings, left.due, left.config], [[], Infinity, undefined]);
});

Deno.test("LeftOut names rows until a look at everything finds them right", () => {
  const left = new LeftOut();
  left.note(quiet({ full: true, problems: [row(1)] }));
  left.note(quiet({ full: false, problems: [row(2)] }));
  left.note(quiet({ full: false, problems: [row(2)] }));
  left.note(quiet({ full: false, problems: [] }));
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
  left.note(quiet({ full: true, problems: Array.from({ length: 1000 }, (_, n) => row(n)) }));
  assert.equal(left.warnings.length, 21);
  assert.match(left.warnings[20]!, /980 more rows/);
});

Deno.test("LeftOut says what is wrong with the configuration, once, until a good one comes", () => {
  const left = new LeftOut();
  const wrong = { what: "cluster configuration", state: "it has no network" };
  left.note(quiet({ full: false, problems: [wrong], configProblem: wrong.state }));
  assert.equal(left.config, "it has no network");
  assert.deepEqual(left.warnings, [
    "Cannot use the cluster configuration in the store: it has no network; this host goes on with the one that it had",
  ]);
  const { due } = left;
  left.note(quiet({ full: false, problems: [] }));
  assert.deepEqual([left.config, left.due], ["it has no network", due]);
  left.note(quiet({ full: false, problems: [], config: {} as never }));
  assert.deepEqual([left.warnings, left.due], [[], Infinity]);
});

Deno.test("LeftOut asks for everything soon after something has changed: it may have been put right", () => {
  const left = new LeftOut();
  left.note(quiet({ full: true, problems: [row(1)] }));
  const { due } = left;
  left.note(quiet());
  assert.equal(left.due, due);
  left.note(quiet({ removed: [{ nodeId: "1", family: 4 }] }));
  assert.ok(left.due < due - 40_000);
});
