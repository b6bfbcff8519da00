import assert from "node:assert/strict";
import fc from "fast-check";
import { fold, plainSummer, summer, updateChecksum } from "./sum.ts";
import { naiveSum } from "./testing.ts";

function memory(): { wasm: WebAssembly.Memory; bytes: Uint8Array } {
  const wasm = new WebAssembly.Memory({ initial: 3, maximum: 3 });
  return { wasm, bytes: new Uint8Array(wasm.buffer) };
}

const congruent = (sum: number) => sum % 0xffff;

for (const kind of ["WebAssembly", "JavaScript"] as const) {
  Deno.test(`summer() in ${kind} sums bytes of any length at any offset`, () => {
    const { wasm, bytes } = memory();
    const sum = kind === "WebAssembly" ? summer(wasm) : plainSummer(bytes);
    fc.assert(fc.property(
      fc.uint8Array({ minLength: 0, maxLength: 300 }),
      fc.nat(70),
      (data, offset) => {
        bytes.fill(0xee, 0, 600);
        bytes.set(data, offset);
        const got = sum(offset, data.length);
        assert.ok(got >= 0 && got <= 0xffff);
        assert.equal(congruent(got), congruent(naiveSum(data)));
        // Zero stands for no bytes but zeros, and for nothing else.
        assert.equal(got === 0, data.every((byte) => byte === 0));
      },
    ));
  });

  Deno.test(`summer() in ${kind} does not overflow on the longest packet`, () => {
    const { wasm, bytes } = memory();
    const sum = kind === "WebAssembly" ? summer(wasm) : plainSummer(bytes);
    bytes.fill(0xff);
    for (const length of [65536, 65535, 65534, 65507, 63, 31, 17, 16, 15, 1]) {
      const got = sum(1, length);
      assert.equal(congruent(got), congruent(naiveSum(bytes.subarray(1, 1 + length))), `${length}`);
    }
  });
}

Deno.test("summer() is WebAssembly where the processor has vectors", () => {
  const { wasm } = memory();
  assert.match(`${summer(wasm)}`, /native code/);
});

Deno.test("fold() keeps a sum's value", () => {
  fc.assert(fc.property(fc.nat(0xffffffff), (sum) => {
    const folded = fold(sum);
    assert.ok(folded <= 0xffff);
    assert.equal(congruent(folded), congruent(sum));
  }));
});

Deno.test("updateChecksum() gives what summing everything again gives", () => {
  fc.assert(fc.property(
    fc.uint8Array({ minLength: 20, maxLength: 20 }),
    fc.nat(9),
    fc.nat(0xffff),
    (header, word, value) => {
      header[0] = 0x45; // A header of zeros alone has two right checksums; there is none.
      header.fill(0, 10, 12);
      const at = word === 5 || word === 0 ? 8 : word * 2;
      const view = new DataView(header.buffer);
      const before = view.getUint16(at);
      const updated = updateChecksum(~naiveSum(header) & 0xffff, before, value);
      view.setUint16(at, value);
      assert.equal(updated, ~naiveSum(header) & 0xffff);
    },
  ));
});
