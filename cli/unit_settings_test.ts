import assert from "node:assert/strict";
import { environmentOf, unitStore } from "./unit_settings.ts";

Deno.test("environmentOf() reads lines as systemd does", () => {
  const text = [
    "# KNET_STORE=sqlite:/comment.db",
    "; KNET_STORE=sqlite:/comment.db",
    "KNET_STORE=sqlite:/first.db",
    '  KNET_STORE="postgres://knet:a=b@db/knet"  ',
    "PGPASSFILE='/etc/knet/pgpass'",
    "EMPTY=",
    "no assignment",
  ].join("\n");
  assert.deepEqual([...environmentOf(text)], [
    ["KNET_STORE", "postgres://knet:a=b@db/knet"],
    ["PGPASSFILE", "/etc/knet/pgpass"],
    ["EMPTY", ""],
  ]);
});

Deno.test("unitStore() takes the file before the credential, as the agent does", () => {
  const files = (files: Record<string, string>) => (path: string) => files[path];
  const credential = { "/etc/credstore/knet.store": "postgres://knet:x@db/knet\n" };
  assert.equal(unitStore(files({})), undefined);
  assert.equal(unitStore(files({ "/etc/default/knet": "KNET_IFACE=eth0\n" })), undefined);
  assert.equal(unitStore(files(credential))?.url, "postgres://knet:x@db/knet");
  const both = { ...credential, "/etc/default/knet": "KNET_STORE=sqlite:/mnt/k.db\n" };
  assert.equal(unitStore(files(both))?.url, "sqlite:/mnt/k.db");
  const libpq = { "/etc/default/knet": "KNET_STORE=postgres:///knet\nPGHOST=db\n" };
  assert.deepEqual(unitStore(files(libpq))?.environment, { PGHOST: "db" });
});
