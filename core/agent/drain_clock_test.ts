import assert from "node:assert/strict";
import { service } from "../../tests/support/services.ts";
import { monotonicClock } from "../base/clock.ts";
import type { Service } from "../services/service.ts";
import type { Changes } from "../store/store.ts";
import { DrainClock } from "./drain_clock.ts";

const NOW = 1_700_000_000_000;

function changes(services: Service[], more: Partial<Changes> = {}): Changes {
  return {
    revision: 1,
    mark: { identity: 1, epoch: 1, revision: 1 },
    ...{ marks: [], whole: false, purged: 0, settling: 0 },
    full: false,
    leases: [],
    removed: [],
    services,
    removedServices: [],
    problems: [],
    now: NOW,
    ...more,
  };
}

function draining(name: string, after: number): Service {
  const one = service(name);
  return {
    ...one,
    destinations: one.destinations.map((each, n) =>
      n === 0 ? { ...each, draining: { deadline: NOW + after } } : each
    ),
  };
}

Deno.test("DrainClock is due soon after the first drain is over, and never without one", () => {
  const clock = new DrainClock();
  assert.equal(clock.due, Infinity);
  clock.note(changes([draining("a", 60_000), draining("b", 30_000), service("c")]));
  const wait = clock.due - monotonicClock();
  assert.ok(wait > 29_000 && wait <= 40_000, String(wait));
  clock.note(changes([], { removedServices: ["b"] }));
  assert.ok(clock.due - monotonicClock() > 59_000);
  clock.note(changes([service("a")]));
  assert.equal(clock.due, Infinity);
  clock.note(changes([draining("a", 0)]));
  clock.note(changes([], { full: true }));
  assert.equal(clock.due, Infinity);
});

Deno.test("DrainClock waits a while after a sweep that did not help", () => {
  const clock = new DrainClock();
  clock.note(changes([draining("a", -60_000)]));
  assert.ok(clock.due <= monotonicClock());
  clock.swept();
  assert.ok(clock.due > monotonicClock() + 20_000);
});
