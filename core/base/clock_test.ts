import assert from "node:assert/strict";
import {
  after,
  type Clock,
  giveClock,
  monotonicClock,
  random,
  randomId,
  sleep,
  wallClock,
} from "./clock.ts";

/** A clock that stands until it is moved. */
function stoppedClock(): Clock & { move(milliseconds: number): void } {
  let now = 0;
  const calls = new Set<{ due: number; call: () => void }>();
  return {
    wall: () => 1_700_000_000_000 + now,
    monotonic: () => now,
    after: (milliseconds, call) => {
      const entry = { due: now + milliseconds, call };
      calls.add(entry);
      return { cancel: () => void calls.delete(entry) };
    },
    random: () => 0.25,
    uuid: () => "00000000-0000-4000-8000-000000000001",
    move(milliseconds) {
      now += milliseconds;
      for (const entry of [...calls].filter(({ due }) => due <= now)) {
        calls.delete(entry);
        entry.call();
      }
    },
  };
}

Deno.test("after() calls back in time, unless it was cancelled", async () => {
  const called: string[] = [];
  const start = monotonicClock();
  after(10, () => called.push("kept"));
  const timer = after(5, () => called.push("cancelled"));
  timer.cancel();
  timer.cancel();
  await sleep(30);
  assert.deepEqual(called, ["kept"]);
  assert.ok(monotonicClock() - start >= 29);
});

Deno.test("after() does not call at once for a time beyond a timer's, and does for one that is over", async () => {
  let early = false;
  let late = false;
  const timer = after(2 ** 40, () => early = true);
  after(-5, () => late = true);
  await sleep(10);
  timer.cancel();
  assert.deepEqual([early, late], [false, true]);
});

Deno.test("random() and randomId() differ from call to call", () => {
  assert.notEqual(random(), random());
  assert.match(randomId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(randomId(), randomId());
});

Deno.test("giveClock() gives time and chance until it is disposed of", async () => {
  {
    const clock = stoppedClock();
    using _given = giveClock(clock);
    assert.equal(wallClock(), 1_700_000_000_000);
    assert.equal(random(), 0.25);
    assert.equal(randomId().at(-1), "1");
    let woken = false;
    const sleeping = sleep(60_000).then(() => woken = true);
    clock.move(59_999);
    await Promise.resolve();
    assert.equal(woken, false);
    clock.move(1);
    await sleeping;
    assert.equal(monotonicClock(), 60_000);
  }
  assert.ok(Math.abs(wallClock() - Date.now()) < 1000);
});
