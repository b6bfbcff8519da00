import assert from "node:assert/strict";
import {
  forgetStore,
  readRecordedStore,
  recordStore,
  sameStore,
  storeAddress,
} from "./recorded_store.ts";

async function withDirectory(work: (directory: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "knet-record-" });
  try {
    work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const at = (url: string, environment: Record<string, string> = {}) =>
  storeAddress(url, (name) => environment[name]);

Deno.test("recordStore() keeps the address where nobody else can read it", () =>
  withDirectory((directory) => {
    const data = `${directory}/data`;
    assert.deepEqual(readRecordedStore(data), { state: "none" });
    const address = at("postgres://knet:hunter2@db/knet", { PGPASSFILE: "/etc/knet/pgpass" });
    recordStore(data, address);
    assert.deepEqual(readRecordedStore(data), { state: "recorded", address });
    assert.equal(Deno.statSync(data).mode! & 0o777, 0o700);
    for (const { name } of Deno.readDirSync(data)) {
      assert.equal(Deno.statSync(`${data}/${name}`).mode! & 0o777, 0o600, name);
    }
    forgetStore(data);
    assert.deepEqual(readRecordedStore(data), { state: "none" });
    forgetStore(data);
  }));

Deno.test("readRecordedStore() says what is wrong with a file that knet did not write", () =>
  withDirectory((directory) => {
    for (const text of ["", "{", "[]", '{"url": 1, "environment": {}}']) {
      Deno.writeTextFileSync(`${directory}/store.json`, text);
      assert.equal(readRecordedStore(directory).state, "broken", text);
    }
  }));

Deno.test("storeAddress() makes the path of a SQLite file absolute and takes variables for Postgres only", () => {
  const env = { PGHOST: "db", PGPASSWORD: "" };
  assert.deepEqual(at("sqlite:knet.db", env), {
    url: `sqlite:${Deno.cwd()}/knet.db`,
    environment: {},
  });
  assert.deepEqual(at("postgres:///knet", env).environment, { PGHOST: "db" });
});

Deno.test("sameStore() knows one store by its several names", () =>
  withDirectory((directory) => {
    Deno.mkdirSync(`${directory}/real`);
    Deno.symlinkSync("real", `${directory}/link`);
    const pairs: [string, string, boolean][] = [
      [`sqlite:${directory}/real/k.db`, `sqlite://${directory}/link/../real/./k.db`, true],
      [`sqlite:${directory}/real/k.db`, `sqlite:${directory}/link/k.db`, true],
      [`sqlite:${directory}/real/k.db`, `sqlite:${directory}/real/other.db`, false],
      ["sqlite:/a/k.db", "postgres://db/knet", false],
      ["postgres://knet:x@db/knet", "postgresql://admin@DB:5432/knet?sslmode=require", true],
      ["postgres://a,b/knet", "postgres://b,a/knet?target_session_attrs=read-write", true],
      ["postgres://db/knet", "postgres://db/knet?schema=public", true],
      ["postgres://db/knet", "postgres://db/knet?schema=two", false],
      ["postgres://db/knet", "postgres://db:5433/knet", false],
      ["postgres://db/knet", "postgres://db/other", false],
      ["mysql://db/knet", "mysql://db/knet", false],
    ];
    for (const [one, other, same] of pairs) {
      assert.equal(sameStore(at(one), at(other)), same, `${one} ${other}`);
    }
    assert.equal(sameStore(at("postgres:///k", { PGHOST: "db" }), at("postgres://db/k")), true);
  }));
