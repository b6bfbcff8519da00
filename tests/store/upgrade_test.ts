// Hosts are upgraded one by one: what an older knet made is used, and what is made of it the older one can still read.
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import postgres from "postgres";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import { SCHEMA_VERSION } from "../../core/store/migrate.ts";
import { exec } from "../support/exec.ts";
import { requestOf } from "../support/lease_driver.ts";
import { programsDirectory, startPostgres } from "../support/postgres.ts";
import { service } from "../support/services.ts";
import { refusal } from "../support/store_engines.ts";

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
      `insert into knet_leases values ('n1', 4, 'n1', '10.244.7.0/24', '192.168.2.1', 'vxlan', '{"mac":"02:00:00:00:00:07","vni":1}', 'b', 'a', 1, 1, 1, 0, 1, 0)`,
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

/** What a knet of 0.1 has put into the fixtures, read and changed by this one. */
async function takeOver(url: string): Promise<void> {
  await using store = await openStore(url);
  assert.equal((await store.getConfig())?.network, "10.244.0.0/16");
  const { leases, revision, problems } = await store.listLeases();
  assert.deepEqual(problems, []);
  assert.equal(revision, 8);
  assert.deepEqual(leases.map(({ nodeName, subnet, reserved }) => [nodeName, subnet, reserved]), [
    ["one", "10.244.0.0/24", false],
    ["two", "10.244.1.0/24", false],
    ["", "10.244.9.0/24", true],
  ]);
  assert.deepEqual(leases[0]!.backendData, { vni: 1, mac: "02:00:00:00:00:11" });
  const { services, timeouts } = await store.listServices();
  assert.deepEqual(timeouts, { tcp: 900, tcpfin: 30, udp: 60 });
  assert.deepEqual(services.map(({ name, vip, scheduler }) => [name, vip, scheduler]), [
    ["db", "fd00::10", "wrr"],
    ["web", "10.96.0.10", "wrr"],
  ]);
  assert.deepEqual(services[1]!.destinations, [
    { address: "10.244.0.2", port: 8080, weight: 3, upper: 0, lower: 0 },
    {
      address: "10.244.1.2",
      port: 8080,
      weight: 1,
      upper: 10,
      lower: 5,
      draining: { deadline: 4e12 },
    },
  ]);
  const changes = await store.changesSince(4);
  assert.equal(changes.full, false);
  assert.deepEqual(changes.removed, [{ nodeId: "id-gone", family: 4 }]);
  assert.deepEqual(changes.removedServices, ["old"]);

  const grant = await store.acquireLease(requestOf("id-one", "192.168.2.11"));
  assert.deepEqual([grant.how, grant.lease.subnet, grant.revision], ["kept", "10.244.0.0/24", 9]);
  const old = service("old", { port: 81 });
  await store.editServices("all", () => ({ put: [old], remove: ["web"], result: 0 }));
  assert.deepEqual((await store.listServices()).services.map(({ name }) => name), ["db", "old"]);
}

/** Statements by which a knet of 0.1 goes on beside newer ones: opening, a write, an event. */
const OLD_STATEMENTS = [
  "select name, value from knet_meta where name in ('schema', 'oldest_reader')",
  "update knet_meta set value = value + 1 where name = 'revision' returning value",
  `insert into knet_leases (node_id, family, node_name, subnet, public_ip, backend, backend_data,
     boot_id, agent_id, acquired, renewed, expires, reserved, revision, deleted)
   values ('id-old', 4, 'old', '10.244.5.0/24', '192.168.2.15', 'vxlan', '{"mac":"02:00:00:00:00:05","vni":1}', 'b', 'a', 1, 1, 1, 0, 20, 0)
   on conflict (node_id, family) do update set subnet = excluded.subnet`,
  `insert into knet_services (name, vip, port, protocol, options, revision, deleted)
   values ('older', '10.96.0.50', 80, 'tcp', '{}', 21, 0)
   on conflict (name) do update set vip = excluded.vip`,
  `insert into knet_destinations (service, address, port, weight, upper_threshold, lower_threshold,
     drain_until) values ('older', '10.244.0.9', 80, 1, 0, 0, 0)`,
];

/** What the older one wrote, as this one sees it. */
async function seeOldWrites(url: string): Promise<void> {
  await using store = await openStore(url);
  assert.equal((await store.listLeases()).leases.length, 4);
  const older = (await store.getService("older")).service!;
  assert.deepEqual([older.scheduler, older.destinations.length], ["rr", 1]);
}

Deno.test("a SQLite file that 0.1 made is taken over as it is, and 0.1 may go on with it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-upgrade-" });
  try {
    const path = `${folder}/knet.db`;
    await Deno.copyFile(new URL("./fixtures/knet_0_1.db", import.meta.url), path);
    await takeOver(`sqlite:${path}`);
    const old = new DatabaseSync(path);
    for (const sql of OLD_STATEMENTS) old.prepare(sql).all();
    old.close();
    await seeOldWrites(`sqlite:${path}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a Postgres that 0.1 filled is taken over from its dump, and 0.1 may go on with it", async () => {
  await using server = await startPostgres();
  const dump = new URL("./fixtures/knet_0_1.pg_dump.sql", import.meta.url).pathname;
  await exec([
    `${await programsDirectory()}/psql`,
    "-qX",
    "-v",
    "ON_ERROR_STOP=1",
    "-f",
    dump,
    server.url,
  ]);
  await takeOver(server.url);
  const sql = postgres(server.url, { max: 1 });
  for (const text of OLD_STATEMENTS) await sql.unsafe(text);
  await sql.end();
  await seeOldWrites(server.url);
});

Deno.test("a store that only newer knets may read is refused", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-upgrade-" });
  try {
    const path = `${folder}/knet.db`;
    await Deno.copyFile(new URL("./fixtures/knet_0_1.db", import.meta.url), path);
    const newer = new DatabaseSync(path);
    newer.exec("update knet_meta set value = 99 where name in ('schema', 'oldest_reader')");
    newer.close();
    await using store = await openStore(`sqlite:${path}`);
    await assert.rejects(store.getConfig(), refusal(/schema 99 is too new for this knet/));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
