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

Deno.test("unitStore() takes the file before the credential, as the agent does", async () => {
  const stored = async (files: Record<string, string>, dataDir = "/var/lib/knet") =>
    (await unitStore(dataDir, (path) => files[path]))?.url;
  const credential = { "/etc/credstore/knet.store": "postgres://knet:x@db/knet\n" };
  assert.equal(await stored({}), undefined);
  assert.equal(await stored({ "/etc/default/knet": "KNET_IFACE=eth0\n" }), undefined);
  assert.equal(await stored(credential), "postgres://knet:x@db/knet");
  const both = { ...credential, "/etc/default/knet": "KNET_STORE=sqlite:/mnt/k.db\n" };
  assert.equal(await stored(both), "sqlite:/mnt/k.db");
  const libpq = { "/etc/default/knet": "KNET_STORE=postgres:///knet\nPGHOST=db\n" };
  const unit = await unitStore("/var/lib/knet", (path) => (libpq as Record<string, string>)[path]);
  assert.deepEqual(unit?.environment, { PGHOST: "db" });
  assert.equal(await stored(both, "/other/agent"), undefined, "another agent's");
  const moved = { "/etc/default/knet": "KNET_STORE=sqlite:/m.db\nKNET_DATA_DIR=/srv/knet\n" };
  assert.equal(await stored(moved, "/srv/knet"), "sqlite:/m.db");
  assert.equal(await stored(moved), undefined);
});
