// Hosts are upgraded one by one: what an older knet made is used, and what is made of it the older one can still read.
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import { SCHEMA_VERSION } from "../../core/store/migrate.ts";
import { service } from "../support/services.ts";

Deno.test("a store of schema 1 is taken over with its leases, and its knet may go on reading", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-upgrade-" });
  try {
    const path = `${folder}/knet.db`;
    const old = new DatabaseSync(path);
    old.exec(await Deno.readTextFile(new URL("./fixtures/schema_1.sql", import.meta.url)));
    old.prepare("insert into knet_config values (1, ?, 1)").run(
      JSON.stringify(makeClusterConfig({})),
    );
    old.prepare(
      `insert into knet_leases values ('n1', 4, 'n1', '10.244.7.0/24', '192.168.2.1', 'vxlan', '{}', 'b', 'a', 1, 1, 1, 0, 1, 0)`,
    ).run();
    old.exec("update knet_meta set value = 1 where name = 'revision'");

    await using store = await openStore(`sqlite:${path}`);
    assert.deepEqual((await store.listLeases()).leases.map(({ subnet }) => subnet), [
      "10.244.7.0/24",
    ]);
    await store.editServices("all", () => ({ put: [service("web")], result: 0 }));
    const { services, leases } = await store.changesSince(1);
    assert.deepEqual(services.map(({ name }) => name), ["web"]);
    assert.deepEqual(leases, []);

    const meta = new Map(
      old.prepare("select name, value from knet_meta").all().map((row) => [row.name, row.value]),
    );
    assert.equal(meta.get("schema"), SCHEMA_VERSION);
    assert.equal(meta.get("oldest_reader"), 1);
    // What a knet of schema 1 asks on every event.
    assert.equal(
      old.prepare("select node_id, family, deleted from knet_leases where revision > 1").all()
        .length,
      0,
    );
    old.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
