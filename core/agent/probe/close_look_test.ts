import assert from "node:assert/strict";
import { longestPassing, tallyOf } from "./close_look.ts";

Deno.test("longestPassing() finds the longest packet that passes to within some bytes, in few rounds", async () => {
  for (const limit of [1450, 1449, 1400, 1280, 576, 61]) {
    let asked = 0;
    const found = await longestPassing(60, 1450, (bytes) => {
      asked++;
      return Promise.resolve(bytes <= limit);
    });
    assert.ok(found <= limit && limit - found <= 6, `${limit}: ${found}`);
    assert.ok(asked <= 66, `${asked}`);
  }
  assert.equal(await longestPassing(60, 1450, () => Promise.resolve(false)), 0);
});

Deno.test("longestPassing() does not take one lost packet for a limit", async () => {
  let first = true;
  const passes = () => {
    const was = first;
    first = false;
    return Promise.resolve(!was);
  };
  assert.equal(await longestPassing(60, 1450, passes), 1450);
});

Deno.test("tallyOf() counts what was lost", () => {
  assert.deepEqual(tallyOf([1, 3], 5), { sent: 5, received: 2, rtt: { min: 1, avg: 2, max: 3 } });
  assert.deepEqual(tallyOf([], 5), { sent: 5, received: 0 });
});
