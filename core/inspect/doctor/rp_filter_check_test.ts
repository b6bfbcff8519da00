import assert from "node:assert/strict";
import { sampleLease, sampleState, sampleUnderlay } from "../../../tests/support/samples.ts";
import { arrivals, effective, type RpFilterFacts } from "./rp_filter_check.ts";

const facts = (more: Partial<RpFilterFacts> = {}): RpFilterFacts => ({
  underlay: sampleUnderlay(),
  ways: 1,
  config: undefined,
  leases: [
    sampleLease({ subnet: "10.244.3.0/24" }),
    sampleLease({ nodeId: "n2", subnet: "10.244.4.0/24", publicIp: "192.168.2.2" }),
    sampleLease({ nodeId: "later", agentId: "" }),
  ],
  state: sampleState({ ipMasq: false }),
  ...more,
});
const ways = (more: Partial<RpFilterFacts> = {}) =>
  arrivals(facts(more)).map(({ device, src, dst }) => `${src} to ${dst} by ${device}`);

Deno.test("arrivals() names what peers and their containers send, each by its device", () => {
  const always = [
    "192.168.2.2 to 192.168.2.1 by eth0",
    "10.244.4.2 to 10.244.3.2 by knet.1",
  ];
  assert.deepEqual(ways(), [...always, "10.244.4.2 to 192.168.2.1 by eth0"]);
  assert.deepEqual(ways({ state: sampleState({ ipMasq: true }) }), always);
  const { device: _, ...plain } = sampleState({ ipMasq: true, backend: "host-gw" });
  assert.equal(ways({ state: plain })[1], "10.244.4.2 to 10.244.3.2 by eth0");
  assert.deepEqual(ways({ state: undefined }), []);
  assert.deepEqual(ways({ underlay: undefined }), []);
});

Deno.test("effective() is the greater of both values: loose wins over strict", () => {
  for (
    const [all, own, value] of [
      ["0", "0", 0],
      ["1", "0", 1],
      ["0", "1", 1],
      ["1", "2", 2],
      ["2", "1", 2],
      [undefined, undefined, 0],
    ] as const
  ) assert.equal(effective(all, own), value, `${all} ${own}`);
});
