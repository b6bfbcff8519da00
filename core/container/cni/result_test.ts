import assert from "node:assert/strict";
import { resultDocument, type ResultFacts } from "./result.ts";

const facts: ResultFacts = {
  attached: {
    netns: "/run/netns/abc",
    ifname: "eth0",
    address: "10.244.0.2",
    prefixLength: 24,
    gateway: "10.244.0.1",
    mtu: 1450,
    mac: "02:00:00:00:00:02",
    bridge: "knet0",
    hostIfname: "kv1",
    how: "attached",
  },
  bridgeMac: "02:00:00:00:00:01",
  hostMac: "02:00:00:00:00:03",
  sandbox: "/run/netns/abc",
  routes: ["0.0.0.0/0"],
};

Deno.test("resultDocument() has the form of the version that is asked for", () => {
  const of = (version: string) => JSON.parse(resultDocument(version, facts));
  const newest = {
    cniVersion: "1.1.0",
    interfaces: [
      { name: "knet0", mac: "02:00:00:00:00:01", mtu: 1450 },
      { name: "kv1", mac: "02:00:00:00:00:03", mtu: 1450 },
      { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1450, sandbox: "/run/netns/abc" },
    ],
    ips: [{ address: "10.244.0.2/24", gateway: "10.244.0.1", interface: 2 }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.244.0.1" }],
    dns: {},
  };
  assert.deepEqual(of("1.1.0"), newest);
  const without = newest.interfaces.map(({ mtu: _, ...rest }) => rest);
  assert.deepEqual(of("1.0.0"), { ...newest, cniVersion: "1.0.0", interfaces: without });
  for (const version of ["0.4.0", "0.3.1", "0.3.0"]) {
    assert.deepEqual(of(version), {
      ...newest,
      cniVersion: version,
      interfaces: without,
      ips: newest.ips.map((one) => ({ version: "4", ...one })),
    });
  }
});

Deno.test("resultDocument() goes on from the result of the plugins before", () => {
  const previous = {
    interfaces: [{ name: "lo", sandbox: "/run/netns/abc" }],
    ips: [{ address: "127.0.0.1/8", interface: 0 }],
    routes: [{ dst: "192.0.2.0/24" }],
    dns: { nameservers: ["192.0.2.1"] },
  };
  const got = JSON.parse(resultDocument("1.0.0", { ...facts, previous }));
  assert.deepEqual(got.interfaces.map((one: { name: string }) => one.name), [
    "lo",
    "knet0",
    "kv1",
    "eth0",
  ]);
  assert.deepEqual(got.ips.map((one: { interface: number }) => one.interface), [0, 3]);
  assert.deepEqual(got.routes.length, 2);
  assert.deepEqual(got.dns, previous.dns);
});
