import assert from "node:assert/strict";
import { KnetError } from "../base/error.ts";
import { describeTarget, parsePostgresUrl } from "./postgres_url.ts";

Deno.test("parsePostgresUrl() fills in what is not said", () => {
  assert.deepEqual(parsePostgresUrl("postgres://db.internal"), {
    hosts: [{ host: "db.internal", port: 5432 }],
    database: "knet",
    user: "knet",
    password: undefined,
    schema: undefined,
    readWrite: false,
    tls: undefined,
  });
  const env = new Map([["PGUSER", "me"], ["PGPASSWORD", "secret"], ["PGPORT", "6000"]]);
  const target = parsePostgresUrl("postgresql://db/other", (name) => env.get(name));
  assert.deepEqual(
    [target.user, target.password, target.database, target.hosts[0]?.port],
    ["me", "secret", "other", 6000],
  );
});

Deno.test("parsePostgresUrl() takes several hosts, IPv6 and sockets", () => {
  const target = parsePostgresUrl(
    "postgres://u:p@db1:5433,[fd00::1]:5434,db3/knet?target_session_attrs=read-write&schema=net",
  );
  assert.deepEqual(target.hosts, [
    { host: "db1", port: 5433 },
    { host: "fd00::1", port: 5434 },
    { host: "db3", port: 5432 },
  ]);
  assert.equal(target.readWrite, true);
  assert.equal(target.schema, "net");
  assert.equal(describeTarget(target), "postgres://u@db1:5433,[fd00::1]:5434,db3:5432/knet");
  assert.equal(
    parsePostgresUrl("postgres://u@/knet?host=/run/postgresql").hosts[0]?.host,
    "/run/postgresql",
  );
});

Deno.test("parsePostgresUrl() takes a password with anything in it", () => {
  assert.equal(parsePostgresUrl("postgres://u:p@ss@w:rd@db/knet").password, "p@ss@w:rd");
  assert.equal(parsePostgresUrl("postgres://u:a%2Fb%25@db/knet").password, "a/b%");
});

Deno.test("parsePostgresUrl() reads the TLS options", () => {
  assert.deepEqual(parsePostgresUrl("postgres://db/k?sslmode=require").tls, {});
  assert.deepEqual(parsePostgresUrl("postgres://db/k?sslrootcert=/ca.pem").tls, {
    rootCert: "/ca.pem",
  });
  assert.equal(parsePostgresUrl("postgres://db/k?sslmode=disable").tls, undefined);
  assert.deepEqual(parsePostgresUrl("postgres://db/k?sslmode=prefer").tls, { optional: true });
});

Deno.test("parsePostgresUrl() takes URLs as managed services hand them out", () => {
  const target = parsePostgresUrl(
    "postgresql://u:p@db.example/k?sslmode=require&channel_binding=require&connect_timeout=10&options=-c%20geqo%3Doff&application_name=x",
  );
  assert.equal(target.connectTimeout, 10_000);
  assert.equal(target.session, "-c geqo=off");
  assert.deepEqual(target.tls, {});
  assert.equal(parsePostgresUrl("postgres://db/k?connect_timeout=0").connectTimeout, undefined);
});

for (
  const [url, state] of [
    ["postgres://db/k?sslmode=maybe", /sslmode=maybe/],
    ["postgres://db/k?colour=red", /the option "colour", which/],
    ["postgres://db/k?connect_timeout=soon", /connect_timeout=soon/],
    ["postgres://db/k?sslcert=/me.pem", /option "sslcert", which knet does not have/],
    ["postgres://db:70000/k", /port "70000"/],
    ["postgres://u:%zz@db/k", /% sequence/],
    ["postgres://db/k?target_session_attrs=standby", /standby/],
  ] as const
) {
  Deno.test(`parsePostgresUrl() refuses ${url}`, () => {
    assert.throws(() => parsePostgresUrl(url), (error) => {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 2);
      assert.match(error.message, state);
      return true;
    });
  });
}
