import assert from "node:assert/strict";
import { sampleUnderlay } from "../../tests/support/samples.ts";
import { underlayChange } from "./host_underlay.ts";

Deno.test("underlayChange() tells addresses that others have to hear of from the rest", () => {
  const before = sampleUnderlay();
  assert.equal(underlayChange(before, sampleUnderlay()), undefined);
  assert.equal(underlayChange(before, { ...before, address: "192.168.2.7" }), "address");
  assert.equal(underlayChange(before, { ...before, publicIp: "203.0.113.9" }), "address");
  assert.equal(underlayChange(before, { ...before, ifindex: 3 }), "other");
  assert.equal(underlayChange(before, { ...before, mtu: 1400 }), "other");
  const nearby = [...before.nearby, { prefix: "192.168.2.64/26", direct: false }];
  assert.equal(underlayChange(before, { ...before, nearby }), "other");
});
