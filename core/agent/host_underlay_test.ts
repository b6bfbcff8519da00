import assert from "node:assert/strict";
import { sampleConfig, sampleLease, sampleUnderlay } from "../../tests/support/samples.ts";
import { choiceOf, heldAfter, heldBy, underlayChange } from "./host_underlay.ts";

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

Deno.test("underlayChange() takes the first underlay for a new address", () => {
  assert.equal(underlayChange(undefined, sampleUnderlay()), "address");
});

Deno.test("heldAfter() remembers what the host belongs to, and where it is meanwhile", () => {
  const home = { address: "192.168.2.1", name: "eth0", prefixLength: 24 };
  const now = (underlay: object) => sampleUnderlay(underlay);
  const here = { address: "10.0.0.1", name: "eth1", prefixLength: 8 };
  const vip = { address: "192.168.2.100", name: "eth0", prefixLength: 32 };
  const other = { address: "192.168.2.9", name: "eth0", prefixLength: 24 };
  assert.deepEqual(heldAfter([], now({}), true), [home]);
  assert.deepEqual(heldAfter([home], now(here), false), [home, here]);
  assert.deepEqual(heldAfter([home, here], now(vip), false), [home, vip]);
  assert.deepEqual(heldAfter([home, vip], now(home), false), [home]);
  assert.deepEqual(heldAfter([home], now(other), false), [home, other]);
  // At a start:
  assert.deepEqual(heldAfter([home], now(other), true), [other], "a new DHCP lease");
  assert.deepEqual(heldAfter([home], now(here), true), [home, here], "eth0's comes late");
  assert.deepEqual(heldAfter([home], now(vip), true), [home, vip]);
});

Deno.test("heldBy() reads what an agent recorded, and of an older one its public address", () => {
  assert.deepEqual(heldBy(undefined), []);
  const snapshot = { version: 1 as const, config: sampleConfig(), own: sampleLease(), peers: [] };
  const older = heldBy(snapshot);
  assert.deepEqual(older, [{ address: "192.168.2.1", name: "", prefixLength: 32 }]);
  const other = sampleUnderlay({ address: "192.168.2.9" });
  assert.deepEqual(heldAfter(older, other, true).map(({ address }) => address), ["192.168.2.9"]);
  const underlay = [{ address: "10.0.0.1", name: "eth1", prefixLength: 8 }];
  assert.deepEqual(heldBy({ ...snapshot, underlay }), underlay);
});

Deno.test("choiceOf() leaves out what was not asked for", () => {
  assert.deepEqual(choiceOf({}, 4), { family: 4 });
  assert.deepEqual(choiceOf({ iface: "eth1", publicIp: "203.0.113.1" }, 4), {
    family: 4,
    iface: "eth1",
    publicIp: "203.0.113.1",
  });
});
