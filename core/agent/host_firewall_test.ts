import assert from "node:assert/strict";
import { sampleConfig, sampleUnderlay } from "../../tests/support/samples.ts";
import type { BackendType } from "../cluster/config.ts";
import { firewallDesired } from "./host_firewall.ts";

const request = { bridge: "knet0", ipMasq: false, peersOnly: true };
const peers = { all: ["192.168.2.2", "192.168.2.3"] };

const desired = (type: BackendType, asked: Partial<typeof request> = {}) =>
  firewallDesired(
    {
      config: sampleConfig({ backend: { type } }),
      subnet: "10.244.3.0/24",
      underlay: sampleUnderlay({ address: "192.168.2.1" }),
    },
    { ...request, ...asked },
    peers,
    undefined,
  );

Deno.test("firewallDesired() lets none but peers send to the tunnel's port, if that was asked for", () => {
  assert.deepEqual(desired("vxlan"), {
    network: "10.244.0.0/16",
    subnet: "10.244.3.0/24",
    address: "192.168.2.1",
    bridge: "knet0",
    ipMasq: false,
    peersOnly: { port: 8472, peers: peers.all },
    services: undefined,
  });
  assert.equal(desired("udp").peersOnly?.port, 8285);
  assert.equal(desired("vxlan", { peersOnly: false }).peersOnly, undefined);
});

Deno.test("firewallDesired() guards no port where the backend has no tunnel", () => {
  assert.equal(desired("host-gw").peersOnly, undefined);
});
