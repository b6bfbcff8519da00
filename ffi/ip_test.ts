import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatAddress,
  formatMac,
  parseAddress,
  parseMac,
  textFamily,
  writeAddress,
  writeMac,
} from "./ip.ts";

const format = (bytes: Uint8Array) => formatAddress(bytes, 0, bytes.length === 4 ? 4 : 6);

Deno.test("parseAddress() and formatAddress() undo each other in both families", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4, 16).chain((n) => fc.uint8Array({ minLength: n, maxLength: n })),
      (
        bytes,
      ) => {
        const text = format(bytes);
        assert.equal(textFamily(text), bytes.length === 4 ? 4 : 6);
        assert.deepEqual(parseAddress(text), bytes);
        assert.deepEqual(parseAddress(`${text}/7`), bytes, "a prefix length is passed over");
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("formatAddress() shortens the longest run of zeros, the first of equals, and no single one", () => {
  for (
    const [text, short] of [
      ["0:0:0:0:0:0:0:0", "::"],
      ["0:0:0:0:0:0:0:1", "::1"],
      ["1:0:0:0:0:0:0:0", "1::"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["FE80::00AB", "fe80::ab"],
      ["::ffff:1.2.3.4", "::ffff:102:304"],
    ] as const
  ) assert.equal(format(parseAddress(text)), short);
});

Deno.test("parseAddress() refuses what is no address, and never does anything else", () => {
  for (
    const text of [
      "",
      "/",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "1..2.3",
      "1.2.3.4:5",
      "1a.2.3.4",
      "::a.1.1.1",
      "a.b.c.d",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      ":1:2:3:4:5:6:7",
      "1::2:3:4:5:6:7:8",
      "12345::",
      "fe80::1%eth0",
      "::1.2.3.4:5",
      "1.2.3.4::",
      "0x1.2.3.4",
      "-1.2.3.4",
    ]
  ) assert.throws(() => parseAddress(text), SyntaxError, text);
  const character = fc.constantFrom(..."0123456789abcdefFg.:/% -");
  fc.assert(
    fc.property(fc.array(character, { maxLength: 30 }), (characters) => {
      const text = characters.join("");
      let bytes: Uint8Array;
      try {
        bytes = parseAddress(text);
      } catch (error) {
        assert.ok(error instanceof SyntaxError, `${text}: ${error}`);
        return;
      }
      assert.deepEqual(parseAddress(format(bytes)), bytes);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("writeAddress() writes at the offset and nothing beside it", () => {
  for (const text of ["1.2.3.4", "1:2:3:4:5:6:7:8"]) {
    const target = new Uint8Array(32).fill(0xee);
    const length = writeAddress(text, target, 5);
    assert.deepEqual(target.subarray(5, 5 + length), parseAddress(text));
    assert.ok(target.subarray(0, 5).every((byte) => byte === 0xee));
    assert.ok(target.subarray(5 + length).every((byte) => byte === 0xee));
  }
});

Deno.test("parseMac() and formatMac() undo each other", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      assert.deepEqual(parseMac(formatMac(bytes, 0)), bytes);
      assert.deepEqual(parseMac(formatMac(bytes, 0).toUpperCase()), bytes);
    }),
  );
});

Deno.test("writeMac() refuses what is no MAC address", () => {
  for (
    const text of [
      "",
      "02:00:00:00:00",
      "02:00:00:00:00:00:00",
      "02-00-00-00-00-00",
      "0g:0:0:0:0:0",
    ]
  ) {
    assert.throws(() => writeMac(text, new Uint8Array(6), 0), SyntaxError, text);
  }
});
