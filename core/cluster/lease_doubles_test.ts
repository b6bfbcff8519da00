import assert from "node:assert/strict";
import type { Lease } from "./lease.ts";
import { doubledLeases } from "./lease_doubles.ts";

const NOW = 1_000_000;

function lease(n: number, more: Partial<Lease> = {}): Lease {
  return {
    nodeId: `n${n}`,
    family: 4,
    nodeName: `host-${n}`,
    subnet: `10.244.${n}.0/24`,
    publicIp: `192.168.2.${n}`,
    backend: "vxlan",
    backendData: { mac: `02:00:00:00:00:0${n}`, vni: 1 },
    bootId: "boot",
    agentId: `agent-${n}`,
    acquired: 0,
    renewed: 0,
    expires: NOW + 1,
    reserved: false,
    revision: n,
    ...more,
  };
}

Deno.test("doubledLeases() says nothing of leases that differ", () => {
  assert.deepEqual(doubledLeases([lease(1), lease(2), lease(3)], NOW), []);
});

Deno.test("doubledLeases() names both hosts of one public IP", () => {
  const [sentence, ...more] = doubledLeases([lease(1), lease(2, { publicIp: "192.168.2.1" })], NOW);
  assert.match(
    sentence!,
    /^Hosts "host-1" \(10\.244\.1\.0\/24\) and "host-2" \(10\.244\.2\.0\/24\) have one public IP, 192\.168\.2\.1/,
  );
  assert.deepEqual(more, []);
});

Deno.test("doubledLeases() does not mind a public IP that an expired lease or a reservation has too", () => {
  for (
    const more of [{ expires: NOW }, { reserved: true, agentId: "", nodeName: "" }]
  ) {
    assert.deepEqual(
      doubledLeases([lease(1), lease(2, { publicIp: "192.168.2.1", ...more })], NOW),
      [],
    );
  }
});

Deno.test("doubledLeases() names hosts of one MAC address and of one subnet", () => {
  const sentences = doubledLeases([
    lease(1),
    lease(2, { backendData: { mac: "02:00:00:00:00:01" } }),
    lease(3, { subnet: "10.244.1.0/24" }),
  ], NOW);
  assert.match(sentences[0]!, /have one VTEP MAC address, 02:00:00:00:00:01/);
  assert.match(sentences[1]!, /"host-1" .* and "host-3" .* have one subnet, 10\.244\.1\.0\/24/);
  assert.equal(sentences.length, 2);
});

Deno.test("doubledLeases() names ten, and counts the rest", () => {
  const all = Array.from(
    { length: 30 },
    (_, n) => lease(n, { publicIp: "192.168.2.1", backendData: {} }),
  );
  const sentences = doubledLeases(all, NOW);
  assert.deepEqual([sentences.length, sentences.at(-1)], [11, "19 more leases are double"]);
});
