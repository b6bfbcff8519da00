import assert from "node:assert/strict";
import {
  sampleConfig,
  sampleLease,
  sampleState,
  sampleUnderlay,
} from "../../tests/support/samples.ts";
import { contextOf, stateOf } from "./context.ts";

const identity = { nodeName: "one" };
const options = { bridge: "knet0", ipMasq: true };
const lease = sampleLease({ subnet: "10.244.3.0/24" });

Deno.test("contextOf() takes the subnet from the lease and the MTU from the underlay", () => {
  const context = contextOf(sampleConfig(), lease, sampleUnderlay({ mtu: 9000 }));
  assert.equal(context.subnet, "10.244.3.0/24");
  assert.equal(context.backendData, lease.backendData);
  assert.equal(context.mtu, 8950);
});

Deno.test("contextOf() counts a host as announced once its lease has the underlay's public address", () => {
  const announced = (publicIp: string) =>
    contextOf(sampleConfig(), lease, sampleUnderlay({ publicIp })).announced;
  assert.equal(announced(lease.publicIp), true);
  assert.equal(announced("203.0.113.9"), false);
});

Deno.test("stateOf() says the underlay's public address, not the one that the store still has", () => {
  const config = sampleConfig({ serviceNetwork: "10.96.0.0/16" });
  const state = (underlay = sampleUnderlay()) =>
    stateOf(contextOf(config, lease, underlay), identity, options);
  assert.deepEqual(state(), sampleState());
  assert.equal(state(sampleUnderlay({ publicIp: "203.0.113.9" })).publicIp, "203.0.113.9");
});

Deno.test("stateOf() names the backend's device only where there is one", () => {
  const state = (type: "udp" | "host-gw") =>
    stateOf(
      contextOf(sampleConfig({ backend: { type } }), lease, sampleUnderlay()),
      identity,
      options,
    );
  assert.equal(typeof state("udp").device, "string");
  assert.equal("device" in state("host-gw"), false);
});
