/**
 * Tokens as they are written, copied and miscopied.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { KnetError } from "../base/error.ts";
import { formatToken, looksLikeToken, makeSecret, parseToken, type Token } from "./token.ts";

const TOKEN: Token = {
  authority: new Uint8Array(32).map((_, index) => index),
  id: "0123456789ab",
  secret: new Uint8Array(16).fill(7),
  port: 8473,
  addresses: ["192.168.2.102", "2001:db8::1"],
};

Deno.test("parseToken() reads what formatToken() writes, also broken over lines", () => {
  const text = formatToken(TOKEN);
  assert.match(text, /^knet1\.[A-Za-z0-9_-]+$/);
  assert.deepEqual(parseToken(text), TOKEN);
  assert.deepEqual(parseToken(`  ${text.slice(0, 40)}\n   ${text.slice(40)}\n`), TOKEN);
  const { id, secret } = makeSecret();
  assert.deepEqual(parseToken(formatToken({ ...TOKEN, id, secret })).secret, secret);
});

Deno.test("parseToken() notices each letter that is missing, changed or added, and tells no secret", () => {
  const text = formatToken(TOKEN);
  const refuses = (word: string) =>
    assert.throws(() => parseToken(word), (error) => {
      assert.ok(error instanceof KnetError && error.exitCode === 2 && error.remedy !== undefined);
      assert.ok(!error.message.includes(text.slice(60, 70)));
      return true;
    });
  for (let length = 0; length < text.length; length++) refuses(text.slice(0, length));
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === "A" ? "B" : "A";
    if (at === text.length - 1) continue; // Bits of the last letter may mean nothing.
    refuses(text.slice(0, at) + other + text.slice(at + 1));
    refuses(text.slice(0, at) + other + text.slice(at));
  }
  refuses(`${text}A`);
  refuses(`${text}AAAA`);
  assert.throws(() => parseToken("knet2.AAAA"), /another version/);
  assert.throws(() => parseToken("postgres://db/knet"), /does not begin/);
  assert.throws(() => parseToken(text.slice(0, -3)), /cut short/);
});

Deno.test("parseToken() takes no noise", () => {
  fc.assert(fc.property(fc.string(), (noise) => {
    assert.throws(() => parseToken(`knet1.${noise}`), KnetError);
  }));
});

Deno.test("looksLikeToken() tells a token from a store's URL and from a name", () => {
  assert.ok(looksLikeToken("knet1.abc"));
  assert.ok(looksLikeToken("knet12.abc"));
  for (const word of ["knet", "postgres://h/d", "sqlite:/x", "knet.example.com"]) {
    assert.equal(looksLikeToken(word), false);
  }
});
