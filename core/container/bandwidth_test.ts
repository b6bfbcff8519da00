import assert from "node:assert/strict";
import { bandwidthOf, bucketOf, isBucket } from "./bandwidth.ts";

Deno.test("bandwidthOf() has the directions that have a limit, and none for zero", () => {
  assert.equal(bandwidthOf({}), undefined);
  assert.equal(bandwidthOf({ ingressRate: 0, ingressBurst: 0, egressRate: null }), undefined);
  assert.deepEqual(bandwidthOf({ egressRate: 1, egressBurst: 2 }), {
    egress: { rate: 1, burst: 2 },
  });
});

Deno.test("bandwidthOf() refuses what has one half, is no number of bits, or more than the kernel counts", () => {
  const refused = (asked: object, state: RegExp) =>
    assert.throws(() => bandwidthOf(asked), { name: "RangeError", message: state });
  refused({ ingressRate: 1 }, /ingressRate needs ingressBurst/);
  refused({ egressBurst: 1 }, /egressBurst needs egressRate/);
  refused({ egressRate: 1.5, egressBurst: 1 }, /egressRate 1.5 is no number of bits/);
  refused({ egressRate: 1, egressBurst: -8 }, /egressBurst -8/);
  refused({ ingressRate: 2 ** 60, ingressBurst: 1 }, /ingressRate/);
  refused({ ingressRate: 1, ingressBurst: 0xffffffff * 8 }, /more than 4 GiB/);
  assert.ok(bandwidthOf({ ingressRate: 1, ingressBurst: 0xffffffff * 8 - 8 }));
});

Deno.test("bucketOf() has the figures of CNI's plugin, and room for one packet", () => {
  assert.deepEqual(bucketOf({ rate: 8_000_000, burst: 800_000 }, 1450), {
    rate: 1_000_000,
    burst: 100_000,
    limit: 125_000,
  });
  assert.deepEqual(bucketOf({ rate: 7, burst: 8 }, 1450), { rate: 1, burst: 1468, limit: 1468 });
  assert.equal(bucketOf({ rate: 1e15, burst: 1e10 }, 1450).limit, 0xffffffff);
});

Deno.test("isBucket() sees another rate, limit or burst, as far as the kernel shows it", () => {
  const wanted = bucketOf({ rate: 8_000_000, burst: 800_000 }, 1450);
  const shown = { rate: wanted.rate, limit: wanted.limit, time: 99_999_936 };
  const queue = { ifindex: 1, kind: "tbf", root: true };
  assert.equal(isBucket({ ...queue, bucket: shown }, wanted), true);
  assert.equal(isBucket({ ...queue, bucket: { ...shown, rate: 1 } }, wanted), false);
  assert.equal(isBucket({ ...queue, bucket: { ...shown, limit: 1 } }, wanted), false);
  assert.equal(isBucket({ ...queue, bucket: { ...shown, time: 50_000_000 } }, wanted), false);
  assert.equal(isBucket({ ...queue, kind: "noqueue" }, wanted), false);
  assert.equal(isBucket(undefined, wanted), false);
  // A quarter of an hour does not fit into the 32 bits that the kernel shows.
  const slow = bucketOf({ rate: 8000, burst: 8e9 }, 1450);
  assert.equal(isBucket({ ...queue, bucket: { ...slow, time: 64 } }, slow), true);
});
