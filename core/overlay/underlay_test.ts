import assert from "node:assert/strict";
import { routeOf } from "../../ffi/rtnl/route.ts";
import { sampleAddress, sampleLink } from "../../tests/support/samples.ts";
import { KnetError } from "../base/error.ts";
import { chooseUnderlay, type UnderlayFacts } from "./underlay.ts";

const facts: UnderlayFacts = {
  links: [
    sampleLink({ index: 1, name: "lo" }),
    sampleLink({ index: 2, name: "eth0" }),
    sampleLink({ index: 3, name: "eth1", mtu: 9000 }),
    sampleLink({ index: 4, name: "bare" }),
  ],
  addresses: [
    sampleAddress({ ifindex: 1, address: "127.0.0.1", scope: 254 }),
    sampleAddress({ ifindex: 2, address: "192.168.2.11", flags: 0x81 }),
    sampleAddress({ ifindex: 2, address: "192.168.2.10" }),
    sampleAddress({ ifindex: 3, address: "10.0.0.10", prefixLength: 8 }),
    sampleAddress({ ifindex: 3, address: "fd00::10", prefixLength: 64 }),
    sampleAddress({ ifindex: 2, address: "fe80::10", prefixLength: 64, scope: 253 }),
  ],
  routes: [
    routeOf({ dst: "0.0.0.0/0", gateway: "10.0.0.1", ifindex: 3, priority: 200 }),
    routeOf({ dst: "0.0.0.0/0", gateway: "192.168.2.1", ifindex: 2, priority: 100 }),
    routeOf({ dst: "0.0.0.0/0", gateway: "10.0.0.9", ifindex: 3, table: 7 }),
    routeOf({ dst: "::/0", gateway: "fd00::1", ifindex: 3 }),
  ],
};

function refused(run: () => unknown, pattern: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, 3);
    assert.match(error.message, pattern);
    return true;
  });
}

Deno.test("chooseUnderlay() takes the default route with the lowest metric, and its first primary address", () => {
  assert.deepEqual(chooseUnderlay(facts, { family: 4 }), {
    ifindex: 2,
    name: "eth0",
    address: "192.168.2.10",
    prefixLength: 24,
    nearby: [{ prefix: "192.168.2.0/24", direct: true }],
    publicIp: "192.168.2.10",
    mtu: 1500,
  });
  assert.equal(chooseUnderlay(facts, { family: 6 }).address, "fd00::10");
});

Deno.test("chooseUnderlay() takes --iface as a name, an address, or a pattern over whole names", () => {
  const by = (iface: string) => {
    const { name, address } = chooseUnderlay(facts, { family: 4, iface });
    return `${name} ${address}`;
  };
  assert.equal(by("eth1"), "eth1 10.0.0.10");
  assert.equal(by("192.168.2.11"), "eth0 192.168.2.11", "the very address, secondary or not");
  assert.equal(by("eth[1-9]"), "eth1 10.0.0.10");
  assert.equal(by("e.*"), "eth0 192.168.2.10", "the first that fits");
  refused(() => by("th0"), /"th0": no interface has this name or address/);
  refused(() => by("("), /Cannot find the underlay interface "\("/);
});

Deno.test("chooseUnderlay() takes the interface of --public-ip, else tells it to peers as it is", () => {
  const local = chooseUnderlay(facts, { family: 4, publicIp: "10.0.0.10" });
  assert.deepEqual([local.name, local.publicIp], ["eth1", "10.0.0.10"]);
  const nat = chooseUnderlay(facts, { family: 4, publicIp: "203.0.113.7" });
  assert.deepEqual([nat.name, nat.address, nat.publicIp], ["eth0", "192.168.2.10", "203.0.113.7"]);
});

Deno.test("chooseUnderlay() keeps the address in use while the interface has it", () => {
  assert.equal(chooseUnderlay(facts, { family: 4 }, "192.168.2.11").address, "192.168.2.11");
  assert.equal(chooseUnderlay(facts, { family: 4 }, "192.168.2.99").address, "192.168.2.10");
});

Deno.test("chooseUnderlay() refuses an interface without a global address, and a host without a default route", () => {
  refused(() => chooseUnderlay(facts, { family: 4, iface: "bare" }), /no global IPv4 address/);
  refused(() => chooseUnderlay(facts, { family: 6, iface: "eth0" }), /no global IPv6 address/);
  refused(() => chooseUnderlay({ ...facts, routes: [] }, { family: 4 }), /no default route/);
});
