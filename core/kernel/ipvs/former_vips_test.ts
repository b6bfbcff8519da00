import assert from "node:assert/strict";
import { giveClock, monotonicClock } from "../../base/clock.ts";
import { FORMER_MINUTES } from "../firewall/firewall.ts";
import { FormerVips } from "./former_vips.ts";

const NONE = new Set<string>();

Deno.test("FormerVips forgets what is a virtual IP again, and what has been gone for as long as IPVS keeps connections", () => {
  let now = monotonicClock();
  const clock = { wall: () => 0, after: () => ({ cancel() {} }), random: () => 0, uuid: () => "" };
  using _clock = giveClock({ ...clock, monotonic: () => now });
  const former = new FormerVips();
  former.note(["203.0.113.1", "203.0.113.2"]);
  now += 60_000;
  former.note(["203.0.113.3", "203.0.113.1"]);
  assert.deepEqual(former.without(new Set(["203.0.113.3"])), ["203.0.113.2", "203.0.113.1"]);
  assert.deepEqual(former.without(NONE), ["203.0.113.2", "203.0.113.1"]);
  assert.equal(former.areOver(), false);
  now += (FORMER_MINUTES - 1) * 60_000;
  assert.equal(former.areOver(), true);
  assert.deepEqual(former.without(NONE), ["203.0.113.1"]);
  assert.equal(former.areOver(), false);
  former.clear();
  assert.deepEqual(former.without(NONE), []);
});

Deno.test("FormerVips remembers the latest of too many", () => {
  const former = new FormerVips();
  const many = Array.from({ length: 1500 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  former.note(many);
  assert.deepEqual(former.without(NONE), many.slice(500));
});
