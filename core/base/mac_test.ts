import assert from "node:assert/strict";
import fc from "fast-check";
import { parseMac } from "../../ffi/ip.ts";
import { deriveMac } from "./mac.ts";

Deno.test("deriveMac() makes a locally administered unicast address, the same each time", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.integer()), { minLength: 1 }), (parts) => {
      const mac = deriveMac(...parts);
      assert.equal(parseMac(mac)[0]! & 0x03, 0x02);
      assert.equal(deriveMac(...parts), mac);
    }),
  );
});

Deno.test("deriveMac() tells purposes, nodes, VNIs and counters apart", () => {
  const macs = [
    deriveMac("vtep", "n1", 1),
    deriveMac("vtep", "n1", 1, 1),
    deriveMac("vtep", "n1", 11),
    deriveMac("vtep", "n2", 1),
    deriveMac("bridge", "n1", 1),
    deriveMac("vtepn1", 1),
  ];
  assert.equal(new Set(macs).size, macs.length);
});
