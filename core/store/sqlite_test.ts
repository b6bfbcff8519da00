import assert from "node:assert/strict";
import { dirname } from "node:path";
import { lockDatabase } from "../../tests/support/database_lock.ts";
import { makeClusterConfig } from "../cluster/config.ts";
import { StoreAwayError } from "../base/error.ts";
import { NoStoreError } from "./location.ts";
import { sqliteEngine } from "./sqlite.ts";
import { openSqlite, readAsArrays, withPositions } from "./sqlite_connection.ts";
import { EmptiedStoreError } from "./emptied.ts";
import { postError, receiveError, SqliteBusyError, sqliteError } from "./sqlite_error.ts";
import { sqlStore } from "./sql_store.ts";

async function withFile(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "knet-sqlite-" });
  try {
    await work(`${folder}/knet.db`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** How many workers are made meanwhile. */
async function workersOf(work: () => Promise<void>): Promise<number> {
  const real = globalThis.Worker;
  let count = 0;
  globalThis.Worker = class extends real {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      count++;
    }
  };
  try {
    await work();
  } finally {
    globalThis.Worker = real;
  }
  return count;
}

Deno.test("sqliteEngine() opens a local file in this thread, in the background in a worker", () =>
  withFile(async (path) => {
    const use = (background: boolean) => async () => {
      await using store = sqlStore(sqliteEngine(path, 5000, background));
      await store.initConfig(makeClusterConfig({}));
      assert.equal((await store.getConfig())?.network, "10.244.0.0/16");
    };
    assert.equal(await workersOf(use(false)), 0);
    assert.equal(await workersOf(use(true)), 1);
  }));

for (const background of [false, true]) {
  const where = background ? "a worker" : "this thread";

  Deno.test(`sqliteEngine() in ${where} gives a held lock up within its deadline, and holds nothing up meanwhile`, () =>
    withFile(async (path) => {
      await using store = sqlStore(sqliteEngine(path, 500, background));
      await store.initConfig(makeClusterConfig({}));
      using _lock = lockDatabase(path);
      let ticks = 0;
      const timer = setInterval(() => ticks++, 10);
      const began = performance.now();
      try {
        await assert.rejects(store.getConfig(), (error) => {
          assert.ok(error instanceof StoreAwayError, String(error));
          assert.match(error.message, /another process holds its lock$/);
          return true;
        });
      } finally {
        clearInterval(timer);
      }
      const took = performance.now() - began;
      assert.ok(took >= 350 && took < 2000, `${took} ms`);
      assert.ok(ticks >= 10, `${ticks} ticks`);
    }));

  Deno.test(`sqliteEngine() in ${where} waits for a lock that is given back`, () =>
    withFile(async (path) => {
      await using store = sqlStore(sqliteEngine(path, 5000, background));
      await store.initConfig(makeClusterConfig({}));
      const lock = lockDatabase(path);
      const timer = setTimeout(() => lock[Symbol.dispose](), 100);
      assert.equal((await store.getConfig())?.network, "10.244.0.0/16");
      clearTimeout(timer);
    }));

  Deno.test(`sqliteEngine() in ${where} makes nothing where it may not, and says so`, () =>
    withFile(async (path) => {
      const asked = async (call: (store: ReturnType<typeof sqlStore>) => Promise<unknown>) => {
        await using store = sqlStore(sqliteEngine(path, 5000, background, true));
        await assert.rejects(call(store), (error) => {
          assert.ok(error instanceof NoStoreError, String(error));
          assert.equal(error.exitCode, 4);
          assert.ok(error.message.includes(`there is no knet store at ${path}`));
          return true;
        });
      };
      await asked((store) => store.listLeases());
      await asked((store) => store.pruneLeases());
      assert.deepEqual([...Deno.readDirSync(dirname(path))], []);
      await Deno.writeTextFile(path, "");
      await asked((store) => store.listServices());
      assert.equal((await Deno.stat(path)).size, 0);
    }));

  Deno.test(`sqliteEngine() in ${where} says which directory is missing`, async () => {
    await using store = sqlStore(sqliteEngine("/nowhere/at/all/knet.db", 500, background));
    await assert.rejects(store.getConfig(), {
      message:
        'Cannot use the database "/nowhere/at/all/knet.db": there is no directory "/nowhere/at/all"',
      remedy: "Mount what the hosts share, or make the directory",
    });
  });
}

Deno.test("sqlStore() names a row that makes no sense once", () =>
  withFile(async (path) => {
    const sentences: string[] = [];
    const warn = (sentence: string) => void sentences.push(sentence);
    await using store = sqlStore(sqliteEngine(path, 5000, false), warn);
    await store.initConfig(makeClusterConfig({}));
    await store.reserveLease("10.244.3.0/24", "192.168.2.9");
    const connection = openSqlite(path);
    connection.run("update knet_leases set expires = -1", []);
    connection.close();
    for (let n = 0; n < 3; n++) assert.deepEqual((await store.listLeases()).leases, []);
    assert.deepEqual(sentences, [
      "Cannot use the lease of 10.244.3.0/24 in the store, it is left out: expires: it is no whole number",
    ]);
  }));

Deno.test("withPositions() refuses parameters that are not in order", () => {
  assert.equal(withPositions("a = $1 and b in ($2, $3)"), "a = ? and b in (?, ?)");
  assert.throws(() => withPositions("a = $2 and b = $1"), RangeError);
  assert.throws(() => withPositions("a = $1 and b = $1"), RangeError);
});

Deno.test("readAsArrays() reads few and many rows as they are", () =>
  withFile(async (path) => {
    const { DatabaseSync } = await import("node:sqlite");
    using database = Object.assign(new DatabaseSync(path), {
      [Symbol.dispose]: () => database.close(),
    });
    const numbers = (count: number) =>
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count}) `;
    database.exec(
      `create table t as ${numbers(500)} select i as a, 'ä"\\' || i as b, null as c from n`,
    );
    const prepare = (sql: string) => database.prepare(withPositions(sql));
    const read = (most: number) =>
      readAsArrays(prepare, "select a, b, c from t where a <= $1", [most]);
    for (const count of [0, 1, 100, 101, 102, 500]) {
      const rows = read(count);
      assert.equal(rows.length, count);
      if (count > 0) assert.deepEqual(rows[count - 1], [count, `ä"\\${count}`, null]);
    }
    const returned = readAsArrays(prepare, "update t set a = a + 1 returning a", []);
    assert.deepEqual([returned.length, returned[0]], [500, [2]]);
  }));

Deno.test("postError() and receiveError() keep kind, words and exit code", () => {
  for (const errcode of [5, 10, 14, 26, 0]) {
    const error = sqliteError("/a.db", Object.assign(new Error("it is so"), { errcode }));
    const received = receiveError("/a.db", structuredClone(postError(error)));
    assert.equal(received.constructor, error.constructor);
    const { message, remedy, exitCode } = error;
    assert.deepEqual(
      [received.message, received.remedy, received.exitCode],
      [message, remedy, exitCode],
    );
  }
});

Deno.test("sqliteError() says that a table was dropped, also over a thread", () => {
  const error = sqliteError("/a.db", new Error("no such table: knet_services"));
  for (const each of [error, receiveError("/a.db", structuredClone(postError(error)))]) {
    assert.ok(each instanceof EmptiedStoreError);
    assert.match(each.message, /"\/a.db": somebody has dropped its table knet_services/);
  }
  assert.ok(!(sqliteError("/a.db", new Error("no such table: x")) instanceof EmptiedStoreError));
});

Deno.test("sqliteError() takes a lock for a lock where the runtime gives SQLite's words alone", () => {
  assert.ok(sqliteError("/x/knet.db", new Error("database is locked")) instanceof SqliteBusyError);
  assert.ok(!(sqliteError("/x/knet.db", new Error("no such table")) instanceof SqliteBusyError));
});

Deno.test("subscribe() says when another file has come to the place, that what is known be compared", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-sqlite-" });
  try {
    const path = `${folder}/knet.db`;
    const engine = sqliteEngine(path, 5000, false);
    const read = () => engine.read((query) => query("select name from knet_meta"));
    await read();
    const states: string[] = [];
    using _subscription = engine.subscribe(() => {}, (state) => states.push(state));
    const [usual] = states;
    await Deno.copyFile(path, `${path}.new`);
    await Deno.rename(`${path}.new`, path);
    await read();
    await read();
    assert.deepEqual(states, [usual, "away", usual]);
    // One that is gone stays away until it is there again.
    await Deno.rename(path, `${path}.gone`);
    await assert.rejects(read());
    await assert.rejects(read());
    assert.equal(states.at(-1), "away");
    await Deno.rename(`${path}.gone`, path);
    await read();
    assert.equal(states.at(-1), usual);
    await engine.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
