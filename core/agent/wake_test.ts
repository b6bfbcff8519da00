import assert from "node:assert/strict";
import fc from "fast-check";
import { backoff, Wake } from "./wake.ts";

const never = () => new AbortController().signal;

Deno.test("Wake.sleep() ends by notify(), also by one that came before", async () => {
  const wake = new Wake();
  wake.notify();
  wake.notify();
  await wake.sleep(1e9, never());
  const sleeping = wake.sleep(1e9, never());
  setTimeout(() => wake.notify(), 5);
  await sleeping;
});

Deno.test("Wake.sleep() ends in time and forgets the notification that ended the sleep before", async () => {
  const wake = new Wake();
  const sleeping = wake.sleep(1e9, never());
  wake.notify();
  await sleeping;
  let done = false;
  const next = wake.sleep(30, never()).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(done, false);
  await next;
  await wake.sleep(-1, never());
});

Deno.test("Wake.sleep() ends by the abort, and is not entered after it", async () => {
  const wake = new Wake();
  const controller = new AbortController();
  const sleeping = wake.sleep(1e9, controller.signal);
  setTimeout(() => controller.abort(), 5);
  await sleeping;
  await wake.sleep(1e9, controller.signal);
});

Deno.test("Wake.sleep() does not end at once for a time beyond a timer's", async () => {
  const wake = new Wake();
  let done = false;
  const sleeping = wake.sleep(2 ** 40, never()).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(done, false);
  wake.notify();
  await sleeping;
});

Deno.test("backoff() grows to its limit, with jitter of half", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 1e6 }), (attempt, limit) => {
      const whole = Math.min(250 * 2 ** attempt, limit);
      const wait = backoff(attempt, limit);
      assert.ok(wait >= whole / 2 && wait <= whole, `${wait} of ${whole}`);
    }),
  );
});
