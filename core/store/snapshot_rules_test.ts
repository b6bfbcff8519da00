import assert from "node:assert/strict";
import { sampleConfig, sampleLease } from "../../tests/support/samples.ts";
import { service } from "../../tests/support/services.ts";
import { makeService } from "../services/request.ts";
import type { Service } from "../services/service.ts";
import type { Snapshot } from "./snapshot.ts";
import { usableSnapshot } from "./snapshot_rules.ts";

const peer = (n: number, more = {}) =>
  sampleLease({
    nodeId: `n${n}`,
    nodeName: `host-${n}`,
    subnet: `10.244.${n}.0/24`,
    publicIp: `192.168.2.${n + 100}`,
    ...more,
  });
const snapshot: Snapshot = {
  version: 1,
  config: sampleConfig(),
  own: sampleLease({ nodeId: "n1" }),
  peers: [peer(2), peer(3)],
  services: [service("web"), makeService("six", { vip: "fd00::10", port: 80 })],
  timeouts: { tcp: 900, tcpfin: 0, udp: 0 },
};

/** What can be used, and what is said. */
function judged(hurt: Snapshot) {
  const warned: string[] = [];
  const usable = usableSnapshot(hurt, (sentence) => warned.push(sentence));
  return { usable, warned };
}

Deno.test("usableSnapshot() takes what knet writes as it is", () => {
  assert.deepEqual(judged(snapshot), { usable: snapshot, warned: [] });
});

Deno.test("usableSnapshot() leaves out leases that no host can have, and names them", () => {
  const { usable, warned } = judged({
    ...snapshot,
    peers: [
      peer(2),
      peer(3, { subnet: "8.8.8.8/32" }),
      peer(4, { publicIp: "127.0.0.1" }),
      peer(5, { backendData: { mac: "ff:ff:ff:ff:ff:ff" } }),
      peer(6, { subnet: "10.244.2.0/24" }),
      peer(7, { subnet: snapshot.own.subnet }),
      peer(1),
      peer(8, { nodeName: "\x1b[2J" }),
    ],
  });
  assert.deepEqual(usable!.peers, [peer(2)]);
  assert.equal(warned.length, 7);
  assert.match(warned.join("\n"), /"host-3" in the snapshot, it is left out: .*8\.8\.8\.8\/32/);
  assert.ok(!warned.join("").includes("\x1b"));
});

Deno.test("usableSnapshot() leaves out services and real servers that no kernel takes", () => {
  const web = service("web");
  const [first] = web.destinations;
  const { usable, warned } = judged({
    ...snapshot,
    services: [
      { ...web, destinations: [first!, { ...first!, address: "nowhere" }] },
      { ...web, name: "low", vip: "127.0.0.1" },
      { ...web, name: "none", vip: "nowhere" },
      { ...web, name: "other", family: 6 },
      { ...web, name: "quick", port: 81, check: { ...PACE, interval: 0 } },
    ] as Service[],
    timeouts: { tcp: -1, tcpfin: 0, udp: 0 },
  });
  assert.deepEqual(usable!.services, [{ ...web, destinations: [first] }]);
  assert.deepEqual(usable!.timeouts, { tcp: 0, tcpfin: 0, udp: 0 });
  assert.equal(warned.length, 6);
});

const PACE = { type: "tcp", interval: 2000, timeout: 1000, rise: 2, fall: 2 };

Deno.test("usableSnapshot() is none without a configuration and a lease that make sense", () => {
  const { own, config } = snapshot;
  const cases: [Snapshot, RegExp][] = [
    [{ ...snapshot, config: { ...config, network: "127.0.0.0/8" } }, /127\.0\.0\.0\/8/],
    [{ ...snapshot, config: { ...config, leaseTtl: -1 } }, /lease TTL -1/],
    [{ ...snapshot, own: { ...own, subnet: "0.0.0.0/0" } }, /0\.0\.0\.0\/0/],
    [{ ...snapshot, own: { ...own, publicIp: "" } }, /public IP/],
  ];
  for (const [hurt, why] of cases) {
    const { usable, warned } = judged(hurt);
    assert.equal(usable, undefined);
    assert.equal(warned.length, 1);
    assert.match(warned[0]!, why);
  }
});

Deno.test("usableSnapshot() names twenty parts, and counts the rest", () => {
  const peers = Array.from({ length: 100 }, (_, n) => peer(n + 2, { publicIp: "224.0.0.1" }));
  const { warned } = judged({ ...snapshot, peers });
  assert.deepEqual([warned.length, warned.at(-1)], [
    21,
    "Cannot use 80 more parts of the snapshot, they are left out, too",
  ]);
});
