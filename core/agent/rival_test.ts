import assert from "node:assert/strict";
import { giveClock } from "../base/clock.ts";
import type { Lease } from "../cluster/lease.ts";
import { Rival } from "./rival.ts";

const other = { nodeId: "other" } as Lease;

Deno.test("Rival turns between asking and counting, and does neither when something else renews meanwhile", () => {
  let now = 1000;
  using _clock = giveClock({
    wall: () => now,
    monotonic: () => now,
    after: () => ({ cancel() {} }),
    random: () => 0,
    uuid: () => "",
  });
  const rival = new Rival();
  const renew = (found: Lease | undefined) => {
    const { turn } = rival;
    rival.renewed(found, turn);
    return turn;
  };
  assert.deepEqual(rival.due, Infinity);
  assert.deepEqual(renew(other), { asked: false });
  assert.deepEqual([renew(other), rival.due], [{}, 16_000]);
  now = 16_000;
  assert.deepEqual(renew(other), { asked: true });
  assert.deepEqual(renew(other), {});
  now = 31_000;
  assert.deepEqual(renew(other), { asked: false });
  now = 46_000;
  assert.deepEqual(renew(undefined), { asked: true });
  assert.deepEqual([rival.lease, rival.due], [undefined, Infinity]);
  // A grant asks nobody: the next renewal does, at once.
  rival.granted(other);
  assert.ok(rival.due <= now);
  assert.deepEqual(renew(other), { asked: false });
});
