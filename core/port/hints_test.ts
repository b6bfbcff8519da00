import assert from "node:assert/strict";
import { giveClock } from "../base/clock.ts";
import { HINT_LIFE, Hints, MOST_AT_ONE, MOST_HINTED, MOST_OF_ONE } from "./hints.ts";

const at = (n: number) => ({ address: `192.0.2.${n}`, port: 8473 });

function stopped() {
  const clock = { now: 1 };
  const given = giveClock({
    wall: () => clock.now,
    monotonic: () => clock.now,
    after: () => ({ cancel() {} }),
    random: () => 0,
    uuid: () => "",
  });
  return { clock, [Symbol.dispose]: () => given[Symbol.dispose]() };
}

Deno.test("Hints has the newest first, and few of one host", () => {
  const hints = new Hints();
  for (let n = 1; n <= MOST_OF_ONE + 2; n++) hints.note("a", at(n));
  hints.note("a", at(MOST_OF_ONE + 1));
  assert.deepEqual(hints.of("a"), [at(MOST_OF_ONE + 1), at(MOST_OF_ONE + 2), at(MOST_OF_ONE)]);
  assert.deepEqual(hints.of("b"), []);
});

Deno.test("Hints forgets after a minute", () => {
  using time = stopped();
  const hints = new Hints();
  hints.note("a", at(1));
  time.clock.now += HINT_LIFE - 1;
  hints.note("a", at(2));
  time.clock.now += 1;
  assert.deepEqual(hints.of("a"), [at(2)]);
});

Deno.test("Hints takes no more than some hosts, and of one address no more than few", () => {
  const hints = new Hints();
  for (let n = 0; n < 2 * MOST_HINTED; n++) {
    hints.note(`h${n}`, { address: `10.0.${n >> 8}.${n & 255}`, port: 1 });
  }
  assert.equal(hints.size, MOST_HINTED);
  const liar = new Hints();
  const taken = Array.from({ length: 20 }, (_, n) => liar.note(`h${n}`, at(1)));
  assert.equal(taken.filter((one) => one).length, MOST_AT_ONE);
  // One that is known there is heard again.
  assert.ok(liar.note("h0", at(1)));
});
