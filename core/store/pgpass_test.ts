import assert from "node:assert/strict";
import { findPassword, passwordOfFile } from "./pgpass.ts";

const target = { host: "db", port: "5432", database: "knet", user: "knet" };

Deno.test("findPassword() takes the first line that fits", () => {
  const text = "# comment\n\nother:5432:knet:knet:no\ndb:5432:knet:knet:yes\n*:*:*:*:late\n";
  assert.equal(findPassword(text, target), "yes");
  assert.equal(findPassword(text, { ...target, host: "far" }), "late");
  assert.equal(findPassword("db:1:knet:knet:no\nbroken\n", target), undefined);
});

Deno.test("findPassword() reads escaped colons and backslashes, and colons in the password", () => {
  assert.equal(findPassword("db:5432:knet:knet:a\\:b\\\\c:d\n", target), "a:b\\c:d");
  assert.equal(
    findPassword("\\:\\:1:5432:*:knet:six\n", { ...target, host: "::1" }),
    "six",
  );
});

Deno.test("passwordOfFile() refuses a file that others can read", async () => {
  const path = await Deno.makeTempFile();
  const before = Deno.env.get("PGPASSFILE");
  try {
    await Deno.writeTextFile(path, "*:*:*:*:secret\n");
    Deno.env.set("PGPASSFILE", path);
    await Deno.chmod(path, 0o644);
    assert.throws(() => passwordOfFile(target), /others have access/);
    await Deno.chmod(path, 0o600);
    assert.equal(passwordOfFile(target), "secret");
    Deno.env.set("PGPASSFILE", `${path}-gone`);
    assert.throws(() => passwordOfFile(target), /not there/);
    Deno.env.delete("PGPASSFILE");
    assert.equal(passwordOfFile(target), undefined);
  } finally {
    if (before !== undefined) Deno.env.set("PGPASSFILE", before);
    await Deno.remove(path);
  }
});
