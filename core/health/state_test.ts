import assert from "node:assert/strict";
import fc from "fast-check";
import { Heap } from "./due_queue.ts";
import { afterResult, nextDelay, UNKNOWN } from "./state.ts";

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
