import assert from "node:assert/strict";
import fc from "fast-check";
import { Heap } from "./due_queue.ts";
import { afterResult, nextDelay, sanePace, UNKNOWN } from "./state.ts";

const run = (results: string, pace = { rise: 2, fall: 3 }) =>
  [...results].reduce((state, one) => afterResult(state, one === "+", pace), UNKNOWN);

Deno.test("afterResult() changes the state after so many results in a row", () => {
  assert.deepEqual(run("--"), { up: true, contrary: 2 });
  assert.deepEqual(run("---"), { up: false, contrary: 0 });
  assert.deepEqual(run("--+--"), { up: true, contrary: 2 });
  assert.deepEqual(run("---+"), { up: false, contrary: 1 });
  assert.deepEqual(run("---+-+"), { up: false, contrary: 1 });
  assert.deepEqual(run("---++"), { up: true, contrary: 0 });
});

Deno.test("nextDelay() hurries while a real server begins to fail, and only then", () => {
  const pace = { interval: 1000 };
  assert.equal(nextDelay(run("+"), pace), 1000);
  assert.equal(nextDelay(run("-"), pace), 200);
  assert.equal(nextDelay(run("---"), pace), 1000);
  assert.equal(nextDelay(run("---+"), pace), 1000);
  assert.equal(nextDelay(run("-"), { interval: 100 }), 100);
});

Deno.test("Heap yields in the order of times, whatever order they came in", () => {
  fc.assert(fc.property(fc.array(fc.integer()), (times) => {
    const heap = new Heap<{ due: number }>();
    for (const due of times) heap.push({ due });
    const yielded = times.map(() => heap.pop()!.due);
    assert.deepEqual(yielded, times.toSorted((a, b) => a - b));
    assert.equal(heap.pop(), undefined);
  }));
});

Deno.test("sanePace() keeps a pace that the rules allow, and makes one of what makes none", () => {
  const usual = { interval: 2000, timeout: 1000, rise: 2, fall: 3 };
  assert.deepEqual(sanePace(usual), usual);
  const least = { interval: 100, timeout: 10, rise: 1, fall: 1 };
  assert.deepEqual(sanePace({ interval: 0, timeout: 0, rise: 0, fall: 0 }), least);
  assert.deepEqual(sanePace({ interval: -5, timeout: -1, rise: -Infinity, fall: 0.5 }), least);
  const most = { interval: 3_600_000, timeout: 60_000, rise: 100, fall: 100 };
  assert.deepEqual(sanePace({ interval: 1e300, timeout: Infinity, rise: 1e9, fall: 101 }), most);
  const none = { interval: NaN, timeout: NaN, rise: NaN, fall: NaN };
  assert.deepEqual(sanePace(none), { ...usual, fall: 2 });
});
