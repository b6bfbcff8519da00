import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { readBandwidth } from "./bandwidth_words.ts";

Deno.test("readBandwidth() reads bits with and without units, and a tenth of a second's burst", () => {
  assert.equal(readBandwidth({}), undefined);
  assert.deepEqual(readBandwidth({ ingressRate: "10M" }), {
    ingress: { rate: 10_000_000, burst: 1_000_000 },
  });
  assert.deepEqual(readBandwidth({ egressRate: "1.5g", egressBurst: "64K", ingressRate: "7" }), {
    ingress: { rate: 7, burst: 1 },
    egress: { rate: 1_500_000_000, burst: 64_000 },
  });
  // All limits are to go.
  assert.deepEqual(readBandwidth({ ingressRate: "0" }), {});
  assert.deepEqual(readBandwidth({ egressRate: "0.0", egressBurst: "0" }), {});
});

Deno.test("readBandwidth() refuses what is no number of bits, and half of a limit", () => {
  const refused = (words: Parameters<typeof readBandwidth>[0], state: RegExp) =>
    assert.throws(
      () => readBandwidth(words),
      (error) => error instanceof KnetError && error.exitCode === 2 && state.test(error.message),
      JSON.stringify(words),
    );
  for (
    const text of [
      ...["", "x", "10mbit", "10 M", "-1", "1e6", "0.0001", "Infinity", ".5", "1,5M", "10T"],
      ...["9".repeat(16), "0x10", "10MM"],
    ]
  ) {
    refused({ ingressRate: text }, /is no number of bits/);
    refused({ egressRate: "1M", egressBurst: text }, /is no number of bits/);
  }
  refused({ ingressBurst: "1M" }, /ingressBurst needs ingressRate/);
  refused({ egressRate: "1M", egressBurst: "0" }, /egressRate needs egressBurst/);
  refused({ egressRate: "999999999G" }, /no number of bits/);
  refused({ egressRate: "1M", egressBurst: "40G" }, /more than 4 GiB/);
});
