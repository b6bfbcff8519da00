// The ways to a Postgres: TLS, Unix sockets, several hosts of which one is down.
import assert from "node:assert/strict";
import postgres from "postgres";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import { startPooler } from "../support/pooler.ts";
import { startPostgres } from "../support/postgres.ts";
import { until } from "../support/wait.ts";

async function network(url: string): Promise<string | undefined> {
  await using store = await openStore(url);
  return (await store.getConfig())?.network;
}

Deno.test("Ways to a Postgres", async (t) => {
  await using server = await startPostgres({ tls: true });
  const { port, folder } = server;
  const ca = `${folder}/ca.pem`;
  {
    await using store = await openStore(server.url);
    await store.initConfig(makeClusterConfig({ network: "10.99.0.0/16" }));
  }
  const works = (what: string, url: string) =>
    t.step(what, async () => assert.equal(await network(url), "10.99.0.0/16"));
  const fails = (what: string, url: string, says: RegExp) =>
    t.step(what, async () => await assert.rejects(network(url), says));

  const at = (place: string, options: string) => `postgres://knet@${place}/postgres?${options}`;
  await works("a Unix socket", at("", `host=${folder}&port=${port}`));
  await works("TLS", at(`localhost:${port}`, `sslmode=verify-full&sslrootcert=${ca}`));
  await works("TLS to an address", at(`127.0.0.1:${port}`, `sslrootcert=${ca}`));
  await works(
    "TLS to the second of two hosts, the first being down",
    at(`127.0.0.1:1,127.0.0.1:${port}`, `sslrootcert=${ca}`),
  );
  await works(
    "a URL with all that managed services write into it",
    at(
      `localhost:${port}`,
      `sslmode=prefer&sslrootcert=${ca}&channel_binding=require&connect_timeout=3&options=-c%20geqo%3Doff`,
    ),
  );
  await t.step(
    "who makes none finds no store where there are no tables, and makes none",
    async () => {
      const sql = postgres(server.url, { max: 1, onnotice: () => {} });
      try {
        await sql`create schema bare`;
        await using bare = await openStore(at(`localhost:${port}`, "schema=bare"), {
          existing: true,
        });
        await assert.rejects(bare.listLeases(), /there is no knet store at postgres:/);
        await assert.rejects(
          bare.reserveLease("10.99.1.0/24", "192.0.2.1"),
          /there is no knet store at postgres:/,
        );
        const tables = await sql`select 1 from pg_tables where schemaname = 'bare'`;
        assert.equal(tables.length, 0);
        // One who may only read is a reader.
        await sql`create role reader login`;
        await sql`grant select on all tables in schema public to reader`;
        await using store = await openStore(`postgres://reader@localhost:${port}/postgres`, {
          existing: true,
        });
        assert.deepEqual((await store.listLeases()).leases, []);
      } finally {
        await sql.end();
      }
    },
  );
  await fails(
    "an authority that nobody knows is refused",
    at(`localhost:${port}`, "sslmode=require"),
    /certificate|UnknownIssuer/i,
  );
  await fails(
    "an authority's file that is missing",
    at("localhost", "sslrootcert=/no.pem"),
    /no\.pem/,
  );
  await t.step("notifications come over TLS", async () => {
    await using store = await openStore(at(`localhost:${port}`, `sslrootcert=${ca}`));
    const state = await new Promise((resolve) => {
      const subscription = store.subscribe(() => {}, (state) => {
        queueMicrotask(() => subscription[Symbol.dispose]());
        resolve(state);
      });
    });
    assert.equal(state, "notify");
  });
  await works(
    "the second of two hosts, the first being down",
    at(`127.0.0.1:1,127.0.0.1:${port}`, "target_session_attrs=read-write"),
  );
  await t.step("the store's name for people has several hosts and no password", async () => {
    await using store = await openStore(
      `postgres://knet:pw@127.0.0.1:1,127.0.0.1:${port}/postgres`,
    );
    assert.equal(store.location, `postgres://knet@127.0.0.1:1,127.0.0.1:${port}/postgres`);
  });
});

Deno.test("A Postgres that refuses a statement is told by what it says, not by the statement", async () => {
  await using server = await startPostgres();
  // This one has no TLS.
  assert.equal(await network(`${server.url}?sslmode=prefer`), undefined);
  await assert.rejects(network(`${server.url}?sslmode=require`), /the server has no TLS/);
  const sql = postgres(server.url, { max: 1 });
  await sql.unsafe("create role other login");
  await sql.end();
  await assert.rejects(network(server.url.replace("knet@", "other@")), {
    message: /^Cannot use the database postgres:.*: permission denied for table knet_meta$/,
    remedy: "Grant the user the right to create and use tables in its schema",
  });
});

Deno.test("A pooler that loses notifications is found out, and looked behind every second", async () => {
  await using server = await startPostgres();
  await using pooler = await startPooler(server, "transaction", "knet");
  const url = `postgres://knet@127.0.0.1:${pooler.port}/postgres`;
  await until("the pooler answers", () => network(url).then(() => true));
  await using reader = await openStore(url);
  await using writer = await openStore(url);
  let changes = 0;
  const { promise: told, resolve } = Promise.withResolvers<string>();
  using _subscription = reader.subscribe(() => changes++, (state, detail) => {
    resolve(`${state}: ${detail}`);
  });
  assert.match(await told, /^poll: .*pooler/);
  const before = changes;
  await writer.initConfig(makeClusterConfig({}));
  await until("the change is seen", () => changes > before);
  assert.equal((await reader.changesSince(0)).config?.network, "10.244.0.0/16");
});
