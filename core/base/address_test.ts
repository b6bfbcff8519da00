import assert from "node:assert/strict";
import ipaddr from "ipaddr.js";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../ffi/ip.ts";
import {
  addressBits,
  addressToNumber,
  canonicalAddress,
  formatPrefix,
  networkOf,
  nthAddress,
  numberToAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixSize,
} from "./address.ts";

const family = fc.constantFrom(4 as const, 6 as const);
const number = (of: 4 | 6) => fc.bigInt({ min: 0n, max: (1n << BigInt(addressBits(of))) - 1n });
const address = family.chain((of) => number(of).map((n) => numberToAddress(n, of)));
/** A network of either family, long ones and short ones alike. */
const network = (of: 4 | 6) =>
  fc.tuple(number(of), fc.integer({ min: 0, max: addressBits(of) }))
    .map(([n, length]) => networkOf(numberToAddress(n, of), length));

Deno.test("numberToAddress() and addressToNumber() undo each other", () => {
  fc.assert(fc.property(family.chain((of) => fc.tuple(fc.constant(of), number(of))), ([of, n]) => {
    assert.equal(addressToNumber(numberToAddress(n, of)), n);
  }));
  assert.equal(numberToAddress(0n, 6), "::");
  assert.throws(() => numberToAddress(1n << 32n, 4), RangeError);
  assert.throws(() => numberToAddress(1n << 128n, 6), RangeError);
  assert.throws(() => numberToAddress(-1n, 4), RangeError);
});

Deno.test("canonicalAddress() is the same for what it returned", () => {
  fc.assert(fc.property(address, (text) => {
    assert.equal(canonicalAddress(text), text);
    assert.equal(canonicalAddress(text.toUpperCase()), text);
  }));
  assert.equal(canonicalAddress("FD00:0:0:0:0:0:0:1"), "fd00::1");
  assert.throws(() => canonicalAddress("10.0.0.1/24"), SyntaxError);
});

Deno.test("canonicalAddress() refuses leading zeros, which some read as octal", () => {
  for (const text of ["010.0.0.1", "10.0.0.01", "10.00.0.1"]) {
    assert.throws(() => canonicalAddress(text), SyntaxError, text);
  }
  assert.equal(canonicalAddress("10.0.0.1"), "10.0.0.1");
});

Deno.test("canonicalAddress() refuses every other way to write an address", () => {
  const others = [
    "10.1",
    "1",
    "0x10.1.1.1",
    "167772161",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0.256",
    "1.2.3.4.5",
  ];
  const others6 = [
    "::1%eth0",
    "fe80::1%1",
    "1::2::3",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7",
  ];
  const mixed = [
    "::1.2.3",
    "::ffff:010.2.3.4",
    "::ffff:1.02.3.4",
    "::ffff:1.2.3.256",
    "a.1.1.1",
    "1::1.2.3.4:5",
  ];
  for (const text of ["", ":", "x", ...others, ...others6, ...mixed]) {
    assert.throws(() => canonicalAddress(text), SyntaxError, text);
    assert.throws(() => addressToNumber(text), SyntaxError, text);
    assert.throws(() => prefixContains("10.0.0.0/8", text), SyntaxError, text);
  }
});

Deno.test("canonicalAddress() reads the dotted end of an IPv6 address", () => {
  assert.equal(canonicalAddress("::1.2.3.4"), "::102:304");
  assert.equal(canonicalAddress("::FFFF:1.2.3.4"), "::ffff:102:304");
  assert.equal(canonicalAddress("1:2:3:4:5:6:1.2.3.4"), "1:2:3:4:5:6:102:304");
});

Deno.test("canonicalAddress() writes an address as the kernel's bytes are written", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0, 0, 1, 0xfff), { minLength: 8, maxLength: 8 }),
      (groups) => {
        const text = groups.map((group) => group.toString(16)).join(":");
        assert.equal(canonicalAddress(text), formatAddress(parseAddress(text), 0, 6));
      },
    ),
  );
});

Deno.test("parsePrefix() and formatPrefix() undo each other", () => {
  fc.assert(fc.property(family.chain(network), (text) => {
    const prefix = parsePrefix(text);
    assert.equal(formatPrefix(prefix), text);
    assert.equal(prefixSize(prefix), 1n << BigInt(addressBits(prefix.family) - prefix.length));
  }));
});

Deno.test("parsePrefix() refuses host bits and names the network that was meant", () => {
  fc.assert(fc.property(address, fc.nat(128), (text, some) => {
    const of = text.includes(":") ? 6 : 4;
    const length = some % (addressBits(of) + 1);
    const meant = networkOf(text, length);
    if (meant === `${text}/${length}`) return;
    assert.throws(() => parsePrefix(`${text}/${length}`), (error) => {
      assert.ok(error instanceof RangeError);
      assert.ok(error.message.includes(meant), error.message);
      return true;
    });
  }));
});

Deno.test("parsePrefix() refuses what is no network", () => {
  for (const text of ["", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "::/129", "10.0.0.0/8/8"]) {
    assert.throws(() => parsePrefix(text), SyntaxError, text);
  }
  for (const text of ["10.0.0.0/-1", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0/8", "x/8", "::/1e1"]) {
    assert.throws(() => parsePrefix(text), SyntaxError, text);
  }
});

Deno.test("nthAddress() counts through a network and stays in it", () => {
  const place = family.chain(network).chain((text) =>
    fc.tuple(fc.constant(text), fc.bigInt({ min: 0n, max: prefixSize(text) - 1n }))
  );
  fc.assert(fc.property(place, ([text, n]) => {
    const found = nthAddress(text, n);
    assert.ok(prefixContains(text, found));
    assert.equal(addressToNumber(found) - addressToNumber(parsePrefix(text).address), n);
    assert.equal(networkOf(found, parsePrefix(text).length), text);
  }));
  fc.assert(fc.property(family.chain(network), (text) => {
    assert.throws(() => nthAddress(text, prefixSize(text)), RangeError);
    assert.throws(() => nthAddress(text, -1), RangeError);
  }));
});

Deno.test("prefixContains() holds of a network and every network inside it, and of no neighbour", () => {
  const pair = family.chain((of) =>
    fc.tuple(network(of), fc.integer({ min: 0, max: addressBits(of) }), fc.nat())
  );
  fc.assert(fc.property(pair, ([outer, length, pick]) => {
    const prefix = parsePrefix(outer);
    assert.ok(prefixContains(outer, outer));
    assert.ok(prefixesOverlap(outer, outer));
    const inside = nthAddress(outer, BigInt(pick) % prefixSize(outer));
    const inner = networkOf(inside, Math.max(length, prefix.length));
    assert.ok(prefixContains(prefix, inner), `${outer} holds ${inner}`);
    assert.equal(prefixContains(inner, outer), inner === outer);
    assert.ok(prefixesOverlap(inner, outer) && prefixesOverlap(outer, inner));
    const after = addressToNumber(prefix.address) + prefixSize(outer);
    if (after >> BigInt(addressBits(prefix.family))) return;
    const beside = `${numberToAddress(after, prefix.family)}/${addressBits(prefix.family)}`;
    assert.ok(!prefixContains(outer, beside));
    assert.ok(!prefixesOverlap(outer, beside));
  }));
});

Deno.test("prefixesOverlap() holds exactly if one contains the other", () => {
  const pair = family.chain((of) => fc.tuple(network(of), network(of)));
  fc.assert(fc.property(pair, ([a, b]) => {
    assert.equal(prefixesOverlap(a, b), prefixContains(a, b) || prefixContains(b, a));
  }));
  assert.ok(!prefixesOverlap("0.0.0.0/0", "::/0"), "families do not meet");
  assert.ok(!prefixContains("::/0", "10.0.0.1"));
});

Deno.test("canonicalAddress() reads four numbers with dots as ipaddr.js does, and refuses whatever looks like them", () => {
  const number = fc.oneof(fc.nat(300), fc.constantFrom("", "00", "01", "1e1", "+1", " 1", "0x1"));
  const texts = fc.array(number, { minLength: 3, maxLength: 5 }).map((parts) => parts.join("."));
  const end = fc.constantFrom("", "", "", ".", "\n", " ");
  fc.assert(
    fc.property(texts, end, (text, end) => {
      const whole = text + end;
      let expected: string | undefined;
      try {
        const read = ipaddr.IPv4.parse(whole).toString();
        if (read === whole) expected = read;
      } catch {
        // No address.
      }
      if (expected === undefined) assert.throws(() => canonicalAddress(whole), SyntaxError);
      else {
        assert.equal(canonicalAddress(whole), expected);
        assert.equal(numberToAddress(addressToNumber(whole), 4), whole);
      }
    }),
    { numRuns: 2000 },
  );
});
