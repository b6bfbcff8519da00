import assert from "node:assert/strict";
import { GoneVips } from "./gone_vips.ts";

const at = (...addresses: string[]) => addresses.map((address) => ({ address }));

Deno.test("GoneVips remembers what nothing else refuses, until it is a virtual IP again", () => {
  const gone = new GoneVips((address) => address.startsWith("10.96."));
  const vips = new Set(["192.0.2.1"]);
  const before = at("192.0.2.1", "192.0.2.2", "10.96.0.1", "fd00::1");
  assert.deepEqual([...gone.change(before, vips)], ["192.0.2.2", "fd00::1"]);
  assert.deepEqual([...gone.change(at("192.0.2.1"), new Set())], [
    "192.0.2.2",
    "fd00::1",
    "192.0.2.1",
  ]);
  assert.deepEqual([...gone.change([], new Set(["192.0.2.2"]))], ["fd00::1", "192.0.2.1"]);
});

Deno.test("GoneVips forgets what is gone the longest, so that it is bounded", () => {
  const gone = new GoneVips();
  const many = Array.from({ length: 2000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  gone.change(at(...many), new Set());
  const left = gone.change([], new Set());
  assert.deepEqual([left.size, left.has(many[0]!), left.has(many.at(-1)!)], [1024, false, true]);
});
