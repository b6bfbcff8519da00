/**
 * The store is there, and is another one: restored, emptied, dropped, hidden, replaced, deleted. Nobody's network notices, everybody is
 * told, and one command makes it whole.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Lease } from "../../core/cluster/lease.ts";
import { PingStream } from "../support/container.ts";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import type { DoctorReport } from "../../core/inspect/doctor/doctor.ts";
import type { Host } from "../support/host.ts";
import type { Lab } from "../support/lab.ts";
import { storeIs } from "../support/status.ts";
import { labSuite } from "../support/suite.ts";
import { ms, report, sleep, until } from "../support/wait.ts";
import { converged, fingerprint } from "../support/walk.ts";

const setUp = (lab: Lab) => startCluster(lab, { containers: 1, hosts: lab.hosts.slice(0, 2) });

const onPostgres = labSuite({ hosts: 4, store: "postgres", setUp });
const onSqlite = labSuite({ hosts: 3, store: "sqlite", setUp });

const subnets = (hosts: readonly Host[]) => Promise.all(hosts.map((host) => host.subnet()));

/** What all kernels hold of all hosts. */
const fingerprints = (hosts: readonly Host[]) => Promise.all(hosts.map(fingerprint));

/**
 * Does something to the store under traffic: everybody says so, no kernel changes, nothing is written; then the remedy, after which all
 * is whole.
 */
async function changed(
  hosts: readonly Host[],
  what: string,
  harm: () => Promise<unknown>,
  remedy: () => Promise<unknown>,
): Promise<void> {
  const [first, second] = hosts;
  await using stream = await PingStream.start(
    first!.containers[0]!,
    second!.containers[0]!.address,
    0.02,
  );
  const before = await fingerprints(hosts);
  const start = performance.now();
  await harm();
  const sentences = await Promise.all(hosts.map((host) => storeIs(host, "different")));
  report(`${what}: said after ${ms(performance.now() - start)}: ${sentences[0]}`);
  const refused = await first!.knet("lease prune", { check: false });
  assert.equal(refused.code, 4, refused.stderr);
  assert.match(refused.stderr, /knet store adopt/);
  const examined = await first!.knet("doctor --json", { check: false });
  const { checks } = JSON.parse(examined.stdout) as DoctorReport;
  const finding = checks.find(({ check }) => check === "store");
  assert.equal(finding?.status, "fail", finding?.detail);
  await sleep(2500);
  assert.deepEqual(await fingerprints(hosts), before, what);
  const mended = performance.now();
  await remedy();
  await Promise.all(hosts.map((host) => storeIs(host, "ok")));
  await converged(hosts);
  report(`${what}: whole ${ms(performance.now() - mended)} after the remedy`);
  assert.deepEqual(await fingerprints(hosts), before, what);
  const { sent, lost } = await stream.stop();
  assert.equal(lost, 0, `${what}: of ${sent} pings`);
}

onPostgres("a store that is emptied takes nothing from anybody", async (lab) => {
  const hosts = lab.hosts.slice(0, 2);
  const [first] = hosts;
  const run = (text: string) => lab.postgres!.sql(text);
  const tables =
    "knet_leases, knet_services, knet_destinations, knet_service_timeouts, knet_config";
  await first!.knet("svc add web --vip 10.96.0.10 --port 80 --to 10.244.1.9:8080");
  const adopt = () => first!.knet("store adopt");
  await changed(hosts, "leases truncated", () => run("truncate knet_leases"), adopt);
  await changed(hosts, "all truncated", () => run(`truncate ${tables}, knet_meta`), adopt);
  const remembered = await first!.knetJson<{ name: string }>("svc show web");
  assert.equal(remembered.name, "web");
  await changed(hosts, "configuration deleted", () => run("delete from knet_config"), adopt);
  // Those of the authority stay: what is made anew must not stumble over what is left.
  await changed(hosts, "tables dropped", () => run(`drop table ${tables}, knet_meta`), adopt);
  await changed(hosts, "one table dropped", () => run("drop table knet_services"), adopt);
  await first!.knet("svc add web --vip 10.96.0.10 --port 80 --to 10.244.1.9:8080");
  await changed(
    hosts,
    "row security",
    async () => {
      await run(
        "reassign owned by knet to postgres; grant select, insert, update, delete on all tables in schema public to knet",
      );
      for (const table of [...tables.split(", "), "knet_meta"]) {
        await run(`alter table ${table} enable row level security`);
      }
    },
    async () => {
      for (const table of [...tables.split(", "), "knet_meta"]) {
        await run(`alter table ${table} disable row level security`);
      }
    },
  );
  await first!.knet("svc rm web");
});

onPostgres(
  "a backup restored under running agents renumbers nobody, and those who joined since stay",
  async (lab) => {
    const [first, , third, fourth] = lab.hosts;
    await first!.knet("store backup /run/host/knet.backup");
    await third!.join();
    await third!.attach("c1");
    await first!.knet("svc add late --vip 10.96.0.11 --port 80 --to 10.244.1.9:8080");
    const hosts = lab.hosts.slice(0, 3);
    await converged(hosts);
    const before = await fingerprints(hosts);
    const held = await subnets(hosts);
    await using stream = await PingStream.start(
      first!.containers[0]!,
      third!.containers[0]!.address,
      0.02,
    );
    const refused = await first!.knet("store restore /run/host/knet.backup", { check: false });
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /3 leases and 1 services.*--force/s);
    const start = performance.now();
    await first!.knet("store restore /run/host/knet.backup --force");
    // Whoever joins at once waits until all have said what they hold.
    await fourth!.join();
    await fourth!.attach("c1");
    await converged(lab.hosts);
    report(`restored with a newcomer at once: whole after ${ms(performance.now() - start)}`);
    assert.deepEqual(await subnets(hosts), held);
    assert.equal(new Set(await subnets(lab.hosts)).size, 4);
    await assertFullMesh(containersOf(lab.hosts));
    const services = await first!.knetJson<{ services: { name: string }[] }>("svc ls");
    assert.deepEqual(services.services.map(({ name }) => name), []);
    await fourth!.leave();
    await fourth!.run("ip netns delete c1");
    await converged(hosts);
    assert.deepEqual(await fingerprints(hosts), before);
    const { sent, lost } = await stream.stop();
    assert.equal(lost, 0, `of ${sent} pings`);
    await third!.leave();
    await third!.run("ip netns delete c1");
    await converged(hosts.slice(0, 2));
  },
);

onPostgres(
  "a fail-over that lost a join is noticed though the revisions come to be equal again",
  async (lab) => {
    const [first, second, third, fourth] = lab.hosts;
    const revision = async () =>
      Number(await lab.postgres!.sql("select value from knet_meta where name = 'revision'"));
    const before = await revision();
    await third!.join();
    await third!.attach("c1");
    await first!.knet("svc add lost --vip 10.96.0.11 --port 80 --to 10.244.1.9:8080");
    await converged(lab.hosts.slice(0, 3));
    const own = await third!.subnet();
    for (const host of lab.hosts.slice(0, 3)) await host.stop("SIGKILL");
    // The last writes are lost, and others take their place.
    await lab.postgres!.sql(
      `delete from knet_leases where revision > ${before}; delete from knet_services where revision > ${before}; update knet_meta set value = ${before} where name = 'revision'`,
    );
    await fourth!.join();
    assert.equal(await fourth!.subnet(), own, "the newcomer was given the subnet that looked free");
    while (await revision() < before + 2) {
      await fourth!.knet("svc add other --vip 10.96.0.12 --port 80 --to 10.244.1.9:8080");
      await fourth!.knet("svc rm other");
    }
    for (const host of [first!, second!, third!]) await host.join({ wait: false });
    const sentences = await Promise.all(
      [first!, second!, third!].map((host) => storeIs(host, "different")),
    );
    report(`lost writes: ${sentences[2]}`);
    const document = await lab.postgres!.sql("select count(*) from knet_leases where deleted = 0");
    assert.equal(document, "3", "nobody took a new lease");
    await first!.knet("store adopt");
    await until("one of the two has another subnet", async () => {
      const held = await subnets(lab.hosts);
      return new Set(held).size === 4 && held[2] === own;
    }, { deadline: 20_000 });
    await converged(lab.hosts);
    assert.deepEqual(third!.containers[0]!.address, await third!.containers[0]!.currentAddress());
    for (const host of [third!, fourth!]) await host.leave();
    await third!.run("ip netns delete c1");
  },
);

onSqlite("a SQLite file that is deleted, replaced or switched to WAL is noticed", async (lab) => {
  const hosts = lab.hosts.slice(0, 2);
  const [first, second] = hosts;
  const file = "/run/shared/knet.db";
  const shell = (script: string) => first!.sh(script);
  await changed(
    hosts,
    "file deleted",
    () => shell(`mv ${file} ${file}.kept`),
    () => shell(`mv ${file}.kept ${file}`),
  );
  await shell(`cp -p ${file} ${file}.old`);
  await first!.knet("svc add web --vip 10.96.0.10 --port 80 --to 10.244.1.9:8080");
  await until(
    "all know",
    async () =>
      (await Promise.all(
        hosts.map((host) => host.knetJson<{ store: { revision: number } }>("status")),
      ))
        .every(({ store }, _, all) => store.revision === all[0]!.store.revision),
  );
  await sleep(600);
  await changed(
    hosts,
    "file replaced by an older one",
    () => shell(`mv ${file} ${file}.kept && cp -p ${file}.old ${file}`),
    () => shell(`mv ${file}.kept ${file}`),
  );
  // A newcomer on the new file, and an agent that starts while it is there, change nothing.
  await changed(
    hosts,
    "a new file",
    async () => {
      await shell(`mv ${file} ${file}.kept`);
      const made = await lab.host(3).knet("init --network 10.99.0.0/16", { check: false });
      assert.equal(made.code, 0, made.stderr);
      await second!.stop("SIGKILL");
      await second!.join({ wait: false });
    },
    () => shell(`mv ${file}.kept ${file}`),
  );
  const leases = await first!.knetJson<{ leases: Lease[] }>("lease ls");
  assert.equal(leases.leases.length, 2);
  const wal = await first!.sh(
    `deno eval 'import { DatabaseSync } from "node:sqlite"; new DatabaseSync("${file}").exec("pragma journal_mode = wal")'`,
    { check: false },
  );
  assert.equal(wal.code, 0, wal.stderr);
  const sentence = await storeIs(first!, "away");
  assert.match(sentence, /WAL mode/);
});
