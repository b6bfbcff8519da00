import assert from "node:assert/strict";
import fc from "fast-check";
import { hidePasswords, redactUrl } from "./secrets.ts";

Deno.test("hidePasswords() hides them in URLs and parameters, and nothing else", () => {
  assert.equal(
    hidePasswords("Cannot reach postgres://knet:s3c@ret@db:5432/knet: refused"),
    "Cannot reach postgres://knet:****@db:5432/knet: refused",
  );
  assert.equal(hidePasswords("postgres://:pw@db/knet"), "postgres://:****@db/knet");
  assert.equal(hidePasswords("postgres:u:secret@h"), "postgres:u:****@h");
  assert.equal(
    hidePasswords("postgres://db/knet?user=a&password=pw&schema=k"),
    "postgres://db/knet?user=a&password=****&schema=k",
  );
  assert.equal(hidePasswords("host=db password='a b' user=x"), "host=db password=**** user=x");
  for (
    const same of [
      "sqlite:/var/lib/knet/knet.db",
      "postgres://knet@db:5432/knet",
      "postgres://db:5432/knet: refused",
      "postgres://[fd00::1]:5432/knet",
      "postgres://knet@a/x is not postgres://knet@b/x",
      "file:///srv/@std/x.ts:1:2",
      "https://jsr.io/@std/x.ts:1:2",
      "a@b: c",
    ]
  ) assert.equal(hidePasswords(same), same);
});

Deno.test("hidePasswords() shows no three characters of any password, wherever it stands", () => {
  const password = fc.string({ minLength: 3, maxLength: 30 }).filter((text) =>
    !/\*\*\*/.test(text)
  );
  fc.assert(fc.property(password, (secret) => {
    const shown = hidePasswords(`Cannot open "postgres://us:${secret}@hh/dd": no`);
    assert.match(shown, /^Cannot open "postgres:\/\/us:\*\*\*\*@hh\/dd": no$/);
  }));
  for (
    const secret of ["abc/def", "a@b#c?d", "p%20q", "a b", "1234 x", "q\"q'q", "://x:y", "a\nb"]
  ) {
    const shown = hidePasswords(`postgres://us:${secret}@hh/dd`);
    assert.equal(shown, "postgres://us:****@hh/dd", secret);
    const odd = hidePasswords(`postgres://a "user":${secret}@hh/dd`);
    assert.equal(odd, 'postgres://a "user":****@hh/dd', secret);
  }
});

Deno.test("hidePasswords() takes a time that grows as the text does", () => {
  for (
    const piece of [
      "a://a:",
      "a://",
      "password='",
      "postgres:",
      "a:@",
      "x:y@ ",
      ":////",
      "://a a",
      "a://b @",
    ]
  ) {
    const start = performance.now();
    hidePasswords(piece.repeat(100_000));
    assert.ok(performance.now() - start < 1000, piece);
  }
});

Deno.test("redactUrl() finds the passwords that hidePasswords() finds, and leaves a URL that can be given", () => {
  assert.equal(redactUrl("postgres://knet:s3c@ret@db,db2/knet"), "postgres://knet@db,db2/knet");
  assert.equal(redactUrl('postgres://kn"et:se cret@db/knet'), 'postgres://kn"et@db/knet');
  assert.equal(
    redactUrl("postgres://knet@db/knet?sslpassword=a&schema=k"),
    "postgres://knet@db/knet?sslpassword=****&schema=k",
  );
  const [user, secret] = [fc.stringMatching(/^[a-z]{1,9}$/), fc.string({ minLength: 1 })];
  fc.assert(fc.property(user, secret, (user, secret) => {
    const url = `postgres://${user}:${secret}@hh:5432/dd`;
    assert.equal(redactUrl(url), `postgres://${user}@hh:5432/dd`);
    assert.equal(hidePasswords(url), `postgres://${user}:****@hh:5432/dd`);
  }));
});
