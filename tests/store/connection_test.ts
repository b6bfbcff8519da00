// The ways to a Postgres: TLS, Unix sockets, several hosts of which one is down.
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster.ts";
import { openStore } from "../../core/store/open.ts";
import { startPostgres } from "../support/postgres.ts";

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
