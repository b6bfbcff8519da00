import assert from "node:assert/strict";
import type { ContainerRecord } from "./addresses.ts";
import { isStranded, planRenumber } from "./renumber.ts";

const record = (address: string, prefixLength = 24): ContainerRecord => ({
  netns: "web",
  netnsId: "4:1",
  ifname: "eth0",
  address,
  prefixLength,
  hostIfname: "knetv1",
});
const plan = (addresses: string[], subnet: string, gateway: string, prefixLength = 24) =>
  planRenumber(addresses.map((a) => record(a, prefixLength)), { subnet, gateway })
    .map((next) => next && `${next.address}/${next.prefixLength}`);

Deno.test("isStranded() holds of an address of another subnet of the family", () => {
  assert.ok(isStranded(record("10.244.1.2"), "10.244.2.0/24"));
  assert.ok(!isStranded(record("10.244.2.2"), "10.244.2.0/24"));
  assert.ok(!isStranded(record("fd00::2"), "10.244.2.0/24"));
});

Deno.test("planRenumber() keeps the host part where it is free", () => {
  assert.deepEqual(plan(["10.244.1.2", "10.244.1.77"], "10.244.9.0/24", "10.244.9.1"), [
    "10.244.9.2/24",
    "10.244.9.77/24",
  ]);
});

Deno.test("planRenumber() leaves those alone that are in the subnet, and never gives their addresses away", () => {
  const records = [record("10.244.1.2"), record("10.244.9.2"), record("10.244.1.3")];
  const next = planRenumber(records, { subnet: "10.244.9.0/24", gateway: "10.244.9.1" });
  assert.equal(next[1], records[1]);
  assert.deepEqual(next.map((one) => one?.address), ["10.244.9.3", "10.244.9.2", "10.244.9.4"]);
});

Deno.test("planRenumber() fits containers into a smaller subnet and says which have no room", () => {
  const addresses = ["10.244.1.2", "10.244.1.200", "10.244.1.3"];
  assert.deepEqual(plan(addresses, "10.244.9.0/29", "10.244.9.1"), [
    "10.244.9.2/29",
    "10.244.9.3/29",
    "10.244.9.4/29",
  ]);
  assert.deepEqual(plan(addresses, "10.244.9.0/30", "10.244.9.1"), [
    "10.244.9.2/30",
    undefined,
    undefined,
  ]);
});

Deno.test("planRenumber() gives IPv6 containers addresses of the new subnet", () => {
  assert.deepEqual(
    plan(["fd00:0:0:1::2", "fd00:0:0:1::9"], "fd00:0:0:2::/64", "fd00:0:0:2::1", 64),
    [
      "fd00:0:0:2::2/64",
      "fd00:0:0:2::3/64",
    ],
  );
});
