import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { openStore, redactUrl } from "./open.ts";

Deno.test("redactUrl() never shows a password, wherever it stands", () => {
  for (
    const url of [
      "postgres://knet:SECRET@db/knet",
      "postgresql://knet:SECRET@db1:5432,db2/knet?sslmode=require",
      "POSTGRES://knet:SECRET@db/knet",
      "postgres://knet:SEC/SECRET@db/knet",
      "postgres://knet:p@SECRET@db/knet",
      "postgres://knet:SEC:SECRET@db/knet",
      "postgres://:SECRET@db/knet",
      "postgres://db/knet?user=knet&password=SECRET&sslmode=require",
      "postgres://db/knet?PASSWORD=SECRET",
      "postgres://db/knet?sslpassword=SECRET",
      "postgres+tls://knet:SECRET@db/knet",
      "postgres:knet:SECRET@db/knet",
      "postgres:/knet:SECRET@db/knet",
      "mysql://knet:SECRET@db/knet",
    ]
  ) {
    const shown = redactUrl(url);
    assert.ok(!shown.includes("SECRET"), shown);
  }
});

Deno.test("redactUrl() leaves the rest as it is", () => {
  assert.equal(redactUrl("postgres://knet:x@db:5432/knet?a=b"), "postgres://knet@db:5432/knet?a=b");
  for (
    const url of [
      "postgres://knet@db:5432/knet",
      "postgres://db:5432/knet",
      "postgres://[fd00::1]:5432/knet",
      "sqlite:/var/lib/knet/knet.db",
      "sqlite:///srv/k@net/knet.db",
    ]
  ) assert.equal(redactUrl(url), url);
});

Deno.test("openStore() refuses a URL of no known kind without showing its password", async () => {
  for (const url of ["mysql://u:SECRET@h/d", "postgres:u:SECRET@h", "", "sqlite:", "/knet.db"]) {
    await assert.rejects(openStore(url), (error) => {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 2);
      assert.ok(!error.message.includes("SECRET"), error.message);
      return true;
    });
  }
});
