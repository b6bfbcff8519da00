import assert from "node:assert/strict";
import { service } from "../../tests/support/services.ts";
import { type LocalView, virtualServerOf } from "./virtual_server.ts";
import { realServerKey, type Service } from "./service.ts";

const web = service("web", {
  check: { type: "tcp" },
  destinations: [
    { address: "10.244.0.1", weight: 3 },
    { address: "10.244.0.2", weight: 2 },
    { address: "10.244.0.3", weight: 0 },
  ],
});

const local = (down: string[], drained: string[] = []): LocalView => ({
  isDown: (_, one) => down.includes(realServerKey(one)),
  isDrained: (_, one) => drained.includes(realServerKey(one)),
});

const weights = (one: Service, view: LocalView) =>
  virtualServerOf(one, view).realServers.map(({ weight }) => weight);

Deno.test("virtualServerOf() gives weight 0 to what fails here", () => {
  assert.deepEqual(weights(web, local([])), [3, 2, 0]);
  assert.deepEqual(weights(web, local(["10.244.0.1:80"])), [0, 2, 0]);
});

Deno.test("virtualServerOf() withdraws what fails behind UDP, whose flows would never leave it, and nothing else", () => {
  const withdrawn = (one: Service, view: LocalView) =>
    virtualServerOf(one, view).realServers.map(({ withdrawn }) => withdrawn ?? false);
  const dns: Service = { ...web, protocol: "udp" };
  const fails = local(["10.244.0.1:80"]);
  assert.deepEqual(withdrawn(dns, fails), [true, false, false]);
  assert.deepEqual(withdrawn({ ...dns, persistent: 300 }, fails), [true, false, false]);
  assert.deepEqual(withdrawn(web, fails), [false, false, false]);
  assert.deepEqual(withdrawn({ ...web, protocol: "sctp" }, fails), [false, false, false]);
  const all = local(["10.244.0.1:80", "10.244.0.2:80"]);
  assert.deepEqual(withdrawn(dns, all), [false, false, false]);
  assert.deepEqual(withdrawn({ ...dns, onEmpty: "reject" }, all), [true, true, false]);
  // A drain ends by itself, and the administrator's own weight 0 means no new flows.
  const [first, ...rest] = dns.destinations;
  const draining = { ...dns, destinations: [{ ...first!, draining: { deadline: 9 } }, ...rest] };
  assert.deepEqual(withdrawn(draining, fails), [false, false, false]);
});

Deno.test("virtualServerOf() balances as if none failed when all fail, or rejects", () => {
  const all = ["10.244.0.1:80", "10.244.0.2:80"];
  assert.deepEqual(weights(web, local(all)), [3, 2, 0]);
  assert.deepEqual(weights({ ...web, onEmpty: "reject" }, local(all)), [0, 0, 0]);
});

Deno.test("virtualServerOf() keeps what drains with weight 0 until it has drained", () => {
  const [first, ...rest] = web.destinations;
  const draining = { ...web, destinations: [{ ...first!, draining: { deadline: 9 } }, ...rest] };
  const kept = virtualServerOf(draining, local([])).realServers;
  assert.deepEqual(kept.map(({ weight, draining }) => [weight, draining]), [
    [0, true],
    [2, false],
    [0, false],
  ]);
  const { realServers } = virtualServerOf(draining, local([], ["10.244.0.1:80"]));
  assert.deepEqual(realServers.map(realServerKey), ["10.244.0.2:80", "10.244.0.3:80"]);
});

Deno.test("virtualServerOf() does not count what drains among those that might be left", () => {
  const [first, ...rest] = web.destinations;
  const draining = { ...web, destinations: [{ ...first!, draining: { deadline: 9 } }, ...rest] };
  assert.deepEqual(weights(draining, local(["10.244.0.2:80"])), [0, 2, 0]);
});
