import assert from "node:assert/strict";
import fc from "fast-check";
import { Batch, NLM_F_ACK, NLMSG_HDRLEN, verbFlags } from "./batch.ts";
import { Attributes, messageView, walkMessages } from "./message.ts";

/** Writes by name; each ends aligned, as fixed headers do. */
const writes: Record<string, (batch: Batch) => void> = {
  u8: (b) => [0xa1, 0xb2, 0xc3, 0xd4].forEach((byte) => b.u8(byte)),
  u16: (b) => [0xa1b2, 0xc3d4].forEach((half) => b.u16(half)),
  u32: (b) => b.u32(0xa1b2c3d4),
  attrFlag: (b) => b.attrFlag(1),
  attrU8: (b) => b.attrU8(2, 0xa1),
  attrU16: (b) => b.attrU16(3, 0xa1b2),
  attrU16be: (b) => b.attrU16be(4, 0xa1b2),
  attrU32: (b) => b.attrU32(5, 0xa1b2c3d4),
  attrAddress4: (b) => b.attrAddress(6, "1.2.3.4"),
  attrAddress6: (b) => b.attrAddress(7, "1:2:3:4:5:6:7:8"),
  attrMac: (b) => b.attrMac(8, "01:02:03:04:05:06"),
  attrString: (b) => b.attrString(9, "knet0"),
  attrBytes: (b) => b.attrBytes(10, Uint8Array.of(1, 2, 3, 4, 5)),
  nest: (b) => {
    const start = b.beginNest(11);
    b.attrU8(12, 7);
    b.endNest(start);
  },
  message: (b) => {
    b.end();
    b.message(new Uint8Array(17).fill(9), () => "foreign");
    b.begin(1, 0, () => "again");
  },
};

function write(batch: Batch, names: readonly string[]): Uint8Array {
  batch.begin(1, 0, () => "begin");
  for (const name of names) writes[name]!(batch);
  batch.end();
  return batch.bytes.slice();
}

Deno.test("Batch writes the same bytes however often its buffer has to grow", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...Object.keys(writes)), { maxLength: 20 }),
      fc.integer({ min: 1, max: 64 }),
      (names, capacity) => {
        assert.deepEqual(write(new Batch(capacity), names), write(new Batch(1 << 16), names));
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("Batch leaves nothing of earlier messages behind after clear()", () => {
  const batch = new Batch(256);
  batch.begin(1, 0, () => "full");
  batch.attrBytes(1, new Uint8Array(200).fill(0xff));
  batch.end();
  batch.clear();
  assert.equal(batch.count, 0);
  const names = Object.keys(writes);
  assert.deepEqual(write(batch, names), write(new Batch(), names));
});

Deno.test("Batch.end() gives every message its length and aligns the next", () => {
  const batch = new Batch(1);
  for (let index = 0; index < 9; index++) {
    batch.begin(100 + index, index, () => `message ${index}`);
    batch.attrString(1, "x".repeat(index));
    batch.end();
  }
  const seen: unknown[] = [];
  const attributes = new Attributes();
  walkMessages(batch.bytes, batch.size, messageView(), (message) => {
    const { data, view, offset, end } = message;
    seen.push([message.type, message.flags, attributes.parse(data, view, offset, end).string(1)]);
  });
  assert.deepEqual(
    seen,
    Array.from({ length: 9 }, (_, index) => [100 + index, index, "x".repeat(index)]),
  );
  assert.equal(batch.count, 9);
  assert.equal(batch.describe(3), "message 3");
  assert.equal(batch.startOf(0), 0);
  assert.equal(batch.startOf(1), NLMSG_HDRLEN + 8);
  assert.equal(batch.startOf(9), batch.size);
});

Deno.test("verbFlags() asks for no acknowledgement: that is send()'s to decide", () => {
  for (const verb of ["add", "replace", "append", "delete"] as const) {
    assert.equal(verbFlags(verb) & NLM_F_ACK, 0);
  }
});
