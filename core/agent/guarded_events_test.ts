import assert from "node:assert/strict";
import type { ClusterConfig } from "../cluster/config.ts";
import type { Lease } from "../cluster/lease.ts";
import { GuardedEvents } from "./guarded_events.ts";
import type { MembershipEvents, ServiceChanges } from "./membership_options.ts";

/** A receiver that fails in what is named, and writes down what it is told. */
function receiver() {
  const failing = new Set<keyof MembershipEvents>();
  const told: string[] = [];
  const take = (what: keyof MembershipEvents) => () => {
    told.push(what);
    if (failing.has(what)) throw new TypeError(`Cannot take ${what}`);
  };
  const events = new GuardedEvents({
    onLease: take("onLease"),
    onAllPeers: take("onAllPeers"),
    onSomePeers: take("onSomePeers"),
    onServices: take("onServices"),
    onHealth: take("onHealth"),
  });
  return { failing, told, events };
}

const lease = {} as Lease;
const config = {} as ClusterConfig;
const services = { full: false } as ServiceChanges;
const all = { full: true } as ServiceChanges;

Deno.test("GuardedEvents makes every failure a problem until it works", () => {
  const { failing, events } = receiver();
  const calls: Record<keyof MembershipEvents, () => void> = {
    onLease: () => events.onLease(lease, config, undefined),
    onAllPeers: () => events.onAllPeers([]),
    onSomePeers: () => events.onSomePeers([], []),
    onServices: () => events.onServices(all),
    onHealth: () => events.onHealth(),
  };
  for (const [what, call] of Object.entries(calls)) {
    failing.add(what as keyof MembershipEvents);
    call();
    assert.deepEqual(events.problems, [`Cannot take ${what}`]);
    assert.ok(events.due < Infinity);
    failing.clear();
    if (what === "onSomePeers") events.onAllPeers([]);
    else call();
    assert.deepEqual(events.problems, []);
    events.again();
    assert.equal(events.due, Infinity);
  }
});

Deno.test("GuardedEvents hands a lease over again", () => {
  const { failing, told, events } = receiver();
  failing.add("onLease");
  events.onLease(lease, config, undefined);
  failing.clear();
  events.again();
  events.again();
  assert.deepEqual(told, ["onLease", "onLease"]);
  assert.deepEqual(events.problems, []);
});

Deno.test("GuardedEvents keeps changes back after one that failed, until all come", () => {
  const { failing, told, events } = receiver();
  failing.add("onSomePeers").add("onServices");
  events.onSomePeers([], []);
  events.onServices(services);
  failing.clear();
  events.onSomePeers([], []);
  events.onServices(services);
  assert.deepEqual(told.splice(0), ["onSomePeers", "onServices"]);
  events.onAllPeers([]);
  events.onServices(all);
  events.onSomePeers([], []);
  assert.deepEqual(told, ["onAllPeers", "onServices", "onSomePeers"]);
  assert.deepEqual(events.problems, []);
});
