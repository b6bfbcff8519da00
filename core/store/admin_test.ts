import assert from "node:assert/strict";
import { makeClusterConfig } from "../cluster/config.ts";
import { addService, removeServices } from "../services/edit.ts";
import { storeAdmin } from "./admin.ts";
import { openEngine } from "./open.ts";
import { sqlStore } from "./sql_store.ts";

Deno.test("info() counts what there is, names what belongs to nothing, and reads real servers once", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-admin-" });
  try {
    const asked: string[] = [];
    const engine = await openEngine(`sqlite:${folder}/knet.db`);
    const noting: typeof engine = {
      ...engine,
      read: (work) =>
        engine.read((query, now) =>
          work((sql, parameters) => {
            asked.push(sql);
            return query(sql, parameters);
          }, now)
        ),
    };
    await using store = sqlStore(engine, () => {});
    await store.initConfig(makeClusterConfig({}));
    const [web, db] = ["web", "db"].map((name, at) => ({
      ...{ name, vip: `10.96.0.${at + 1}`, port: 80 },
      destinations: [1, 2].map((n) => ({ address: `10.244.0.${n}`, port: 8080 })),
    }));
    await addService(store, "web", web!);
    await addService(store, "db", db!);
    await addService(store, "gone", { vip: "10.96.0.3", port: 80 });
    await removeServices(store, ["gone"]);
    await engine.write(async (query) => {
      await query(
        "insert into knet_destinations select 'lost', address, port, weight, " +
          "upper_threshold, lower_threshold, drain_until from knet_destinations where service = 'db'",
      );
      await query("update knet_services set vip = 'nowhere' where name = 'db'");
    });
    const found = await storeAdmin(noting).info();
    assert.deepEqual([found.services, found.realServers, found.tombstones], [1, 6, 1]);
    assert.deepEqual(
      found.problems.filter((text) => /lost|db/.test(text)).map((text) => text.replace(/: .*/, "")),
      [
        'Cannot use the service "db" in the store, it is left out',
        'There are real servers of a service "lost" that does not exist',
      ],
    );
    for (const table of ["destinations", "leases", "services"]) {
      const reads = asked.filter((sql) => new RegExp(`from "knet_${table}"`).test(sql));
      const rows = reads.filter((sql) => !/select (?:count|max)\(/.test(sql));
      // Of leases a few are looked at as witnesses for the configuration.
      assert.equal(rows.length, table === "leases" ? 2 : 1, rows.join("\n"));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
