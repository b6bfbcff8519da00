// Postgres as it is run: restarted, crowded, behind poolers, with roles that may little, with writers that vanish.
import assert from "node:assert/strict";
import postgres from "postgres";
import { StoreAwayError } from "../../core/base/error.ts";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import { postgresEngine } from "../../core/store/postgres.ts";
import type { Store } from "../../core/store/store.ts";
import { requestOf } from "../support/lease_driver.ts";
import { startPooler } from "../support/pooler.ts";
import { type Postgres, startPostgres } from "../support/postgres.ts";
import { DEADLINE, ms, report, sleep, until } from "../support/wait.ts";

const frozenWriter = new URL("../support/frozen_writer.ts", import.meta.url).pathname;

/** Runs statements as superuser. */
async function administer(server: Postgres, ...statements: string[]): Promise<unknown[]> {
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  try {
    let rows: unknown[] = [];
    for (const text of statements) rows = [...await sql.unsafe(text)];
    return rows;
  } finally {
    await sql.end();
  }
}

/** Tries until the store takes it; milliseconds. */
async function taken(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  for (;;) {
    try {
      await work();
      return performance.now() - begin;
    } catch (error) {
      assert.ok(error instanceof StoreAwayError, String(error));
      await sleep(100);
    }
  }
}

Deno.test("A writer that freezes inside its transaction does not hold the others for long", async () => {
  await using server = await startPostgres();
  await using store = await openStore(server.url);
  await store.initConfig(makeClusterConfig({}));
  const frozen = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "--no-check", frozenWriter, server.url],
    stdout: "piped",
  }).spawn();
  try {
    const reader = frozen.stdout.getReader();
    await reader.read();
    frozen.kill("SIGSTOP");
    const time = await taken(() => store.acquireLease(requestOf("one", "192.168.2.1")));
    report(`a frozen writer holds the others for ${ms(time)}`);
    const [row] = await administer(
      server,
      "select count(*)::int as n from pg_stat_activity where application_name = 'knet'",
    ) as { n: number }[];
    assert.equal(row!.n, 1, "sessions of writes that gave up are left");
    await reader.cancel();
  } finally {
    frozen.kill("SIGKILL");
    await frozen.status;
  }
});

Deno.test("Hosts that come to an empty database at once all begin, whoever makes the tables", async () => {
  await using server = await startPostgres();
  await using one = await openStore(server.url);
  await using two = await openStore(server.url);
  const sql = postgres(server.url, { max: 2, onnotice: () => {} });
  try {
    let beginning: Promise<unknown> | undefined;
    // What the first of them would hold while it makes the tables: both have seen by then that there are none.
    await sql.begin(async (held) => {
      await held`select pg_advisory_xact_lock(${0x6b6e6574})`;
      beginning = Promise.all([one, two].map((store) => store.initConfig(makeClusterConfig({}))));
      beginning.catch(() => {});
      await until("both wait", async () => {
        const [row] = await sql`
          select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted`;
        return row!.n === 2;
      });
    });
    await beginning;
  } finally {
    await sql.end();
  }
});

Deno.test("A call that took too long says how long all of it had, not what was left for its last step", async () => {
  await using server = await startPostgres();
  const engine = postgresEngine(server.url, 1000);
  try {
    // Connecting and migrating took some of it before.
    await assert.rejects(
      engine.write(() => new Promise<never>(() => {})),
      (error: Error) => error instanceof StoreAwayError && / within 1 s$/.test(error.message),
    );
  } finally {
    await engine.close();
  }
});

Deno.test("Restarts of the server end nobody, and leave no descriptor behind", async () => {
  await using server = await startPostgres();
  const stores: Store[] = [];
  const subscriptions: Disposable[] = [];
  const states = new Map<Store, string>();
  try {
    for (let n = 0; n < 4; n++) {
      const store = await openStore(server.url);
      stores.push(store);
      subscriptions.push(store.subscribe(() => {}, (state) => void states.set(store, state)));
    }
    await stores[0]!.initConfig(makeClusterConfig({}));
    const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const listening = () =>
      until("all listen", () => stores.every((store) => states.get(store) === "notify"));
    await listening();
    const before = descriptors();
    for (let restart = 0; restart < 8; restart++) {
      await Promise.all([
        server.restart(restart % 2 === 0 ? "immediate" : "fast"),
        ...stores.map((store, n) =>
          taken(() => store.acquireLease(requestOf(`n${n}`, `192.168.2.${n + 1}`)))
        ),
      ]);
    }
    await Promise.all(stores.map((store) => taken(() => store.listLeases())));
    await listening();
    assert.equal((await stores[0]!.listLeases()).leases.length, stores.length);
    assert.ok(descriptors() <= before + stores.length, `${before} became ${descriptors()}`);
  } finally {
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
    for (const store of stores) await store[Symbol.asyncDispose]();
  }
});

Deno.test("A role that may only read reads, and is told why it cannot write", async () => {
  await using server = await startPostgres();
  await using store = await openStore(server.url);
  await store.initConfig(makeClusterConfig({ network: "10.99.0.0/16" }));
  await administer(
    server,
    "create role looker login",
    "grant select on all tables in schema public to looker",
  );
  await using looker = await openStore(server.url.replace("knet@", "looker@"));
  assert.equal((await looker.getConfig())?.network, "10.99.0.0/16");
  assert.deepEqual((await looker.listLeases()).leases, []);
  await assert.rejects(looker.acquireLease(requestOf("one", "192.168.2.1")), {
    message: /permission denied for table knet_meta/,
    remedy: /Grant the user the right/,
  });
  await administer(server, "alter role looker set default_transaction_read_only = on");
  await using readOnly = await openStore(server.url.replace("knet@", "looker@"));
  await assert.rejects(readOnly.acquireLease(requestOf("one", "192.168.2.1")), {
    message: /read-only transaction|permission denied/,
  });
});

Deno.test("A server without a connection to spare is waited for, and named if it stays so", async () => {
  await using server = await startPostgres({ settings: "-c max_connections=5" });
  await using store = await openStore(server.url);
  await store.initConfig(makeClusterConfig({}));
  store.reset();
  // Superusers have three connections of their own, which these take too.
  const others = Array.from({ length: 5 }, () => postgres(server.url, { max: 1 }));
  await Promise.all(others.map((sql) => sql`select 1`.catch(() => {})));
  const waiting = store.getConfig();
  await sleep(500);
  await Promise.all(others.map((sql) => sql.end()));
  assert.equal((await waiting)?.network, "10.244.0.0/16");
});

Deno.test("More hosts than half of the server's connections get by: none keeps one that it does not use", async () => {
  const [most, hosts] = [7, 6];
  await using server = await startPostgres({
    settings: `-c max_connections=${most} -c superuser_reserved_connections=0`,
  });
  await using stack = new AsyncDisposableStack();
  const stores = await Promise.all(Array.from({ length: hosts }, async () => {
    const store = stack.use(await openStore(server.url));
    stack.use(store.subscribe(() => {}));
    return store;
  }));
  await stores[0]!.initConfig(makeClusterConfig({}));
  const read = stores.map(() => 0);
  let over = false;
  // As agents do: more often than an idle connection is closed.
  const reading = stores.map(async (store, n) => {
    while (!over) {
      await store.getConfig();
      read[n]!++;
      await sleep(1000);
    }
  });
  try {
    await until("each of them has read again and again", () => read.every((times) => times >= 4), {
      deadline: 3 * DEADLINE,
    });
  } finally {
    over = true;
    await Promise.allSettled(reading);
  }
});

Deno.test("A server that does not say how many connections are in use is listened to all the same", async () => {
  await using server = await startPostgres();
  await administer(
    server,
    "revoke select on pg_stat_database, pg_stat_activity from public",
    "create role k login",
    "create schema own authorization k",
  );
  const url = new URL(server.url);
  url.username = "k";
  url.searchParams.set("schema", "own");
  await using store = await openStore(url.href);
  await store.initConfig(makeClusterConfig({}));
  const states: string[] = [];
  let changes = 0;
  using _subscription = store.subscribe(() => changes++, (state) => void states.push(state));
  await until("it listens", () => states.length > 0);
  // Longer than between two questions whether the server is there.
  await sleep(5000);
  assert.deepEqual(states, ["notify"]);
  const before = changes;
  await store.acquireLease(requestOf("one", "192.168.2.1"));
  await until("it hears of a change", () => changes > before);
});

Deno.test("A newer knet that closes the store to older ones is heard at once", async () => {
  await using server = await startPostgres();
  await using store = await openStore(server.url);
  await store.initConfig(makeClusterConfig({}));
  await administer(
    server,
    "update knet_meta set value = 99 where name in ('oldest_reader', 'schema')",
  );
  await assert.rejects(store.listLeases(), /schema 99 is too new for this knet/);
  await assert.rejects(
    store.acquireLease(requestOf("one", "192.168.2.1")),
    /schema 99 is too new for this knet/,
  );
});

for (const mode of ["transaction", "session"] as const) {
  Deno.test(`A schema of its own through a pooler in ${mode} mode`, async () => {
    await using server = await startPostgres();
    await administer(
      server,
      "create schema own",
      "create role k login",
      "grant all on schema own to k",
    );
    await using pooler = await startPooler(server, mode, "k");
    const url = `postgres://k@127.0.0.1:${pooler.port}/postgres?schema=own`;
    await until("the pooler answers", async () => {
      await using store = await openStore(url);
      return await store.getConfig().then(() => true);
    });
    await using writer = await openStore(url);
    await writer.initConfig(makeClusterConfig({}));
    const [row] = await administer(
      server,
      "select to_regclass('own.knet_leases')::text as own, to_regclass('public.knet_leases')::text as other",
    ) as { own: string | null; other: string | null }[];
    assert.deepEqual({ ...row }, { own: "own.knet_leases", other: null });
    await using reader = await openStore(url);
    const { promise: told, resolve } = Promise.withResolvers<string>();
    using _subscription = reader.subscribe(() => {}, (state) => resolve(state));
    assert.equal(await told, mode === "session" ? "notify" : "poll");
  });
}
