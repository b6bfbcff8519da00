/**
 * `knet init` and `knet lease` as processes on a SQLite file: neither root nor libnl is needed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { scratch } from "./run_knet.ts";

interface InitDocument {
  readonly outcome: string;
  readonly store: string;
  readonly config: { network: string; backend: { type: string; vni: number; port: number } };
}

interface LeaseDocument {
  readonly nodeId: string;
  readonly subnet: string;
  readonly publicIp: string;
  readonly state: string;
  readonly reserved: boolean;
  readonly expires: number | null;
}

Deno.test("knet init writes the configuration once, and shows both when they differ", async () => {
  await using at = await scratch();
  const first = await at.json<InitDocument>("init --network 10.9.0.0/16 --vni 7");
  assert.equal(first.outcome, "created");
  assert.equal(first.config.network, "10.9.0.0/16");
  assert.deepEqual(
    [first.config.backend.type, first.config.backend.vni, first.config.backend.port],
    [
      "vxlan",
      7,
      8472,
    ],
  );
  const again = await at.json<InitDocument>("init --network 10.9.0.0/16 --vni 7");
  assert.equal(again.outcome, "unchanged");
  const other = await at.knet("init --network 10.8.0.0/16 --vni 7");
  assert.equal(other.code, 4);
  assert.match(other.stderr, /10\.8\.0\.0\/16/);
  assert.match(other.stderr, /10\.9\.0\.0\/16/);
  const replaced = await at.json<InitDocument>("init --network 10.8.0.0/16 --replace");
  assert.equal(replaced.outcome, "replaced");
  const table = await at.knet("init --network 10.8.0.0/16");
  assert.equal(table.code, 0);
  assert.match(table.stdout, /network\s+10\.8\.0\.0\/16/);
});

Deno.test("knet init takes flannel's net-conf.json as it is", async () => {
  await using at = await scratch();
  await Deno.writeTextFile(
    `${at.path}/net-conf.json`,
    JSON.stringify({ Network: "10.5.0.0/16", SubnetLen: 24, Backend: { Type: "vxlan", VNI: 3 } }),
  );
  const { config } = await at.json<InitDocument>(`init --from-flannel ${at.path}/net-conf.json`);
  assert.equal(config.network, "10.5.0.0/16");
  assert.equal(config.backend.vni, 3);
});

Deno.test("knet lease reserves, lists, shows, releases and prunes", async () => {
  await using at = await scratch();
  await at.json("init --network 10.9.0.0/16");
  assert.equal((await at.knet("lease ls")).stdout, "No leases\n");
  const reserved = await at.json<LeaseDocument>(
    "lease reserve 10.9.7.0/24 --public-ip 192.168.2.107",
  );
  assert.equal(reserved.subnet, "10.9.7.0/24");
  assert.equal(reserved.state, "reserved");
  assert.equal(reserved.expires, null);
  const { leases } = await at.json<{ leases: LeaseDocument[] }>("lease ls");
  assert.deepEqual(leases.map(({ subnet }) => subnet), ["10.9.7.0/24"]);
  const table = await at.knet("lease ls");
  assert.match(table.stdout, /^NODE +SUBNET +PUBLIC IP/);
  assert.match(table.stdout, /10\.9\.7\.0\/24 +192\.168\.2\.107 .*reserved/);
  const shown = await at.json<LeaseDocument>("lease show 10.9.7.0/24");
  assert.equal(shown.publicIp, "192.168.2.107");
  assert.match((await at.knet("lease show 10.9.7.0/24")).stdout, /expires +never/);
  assert.deepEqual(await at.json("lease prune"), { pruned: [] });
  assert.equal((await at.knet("lease release 10.9.7.0/24")).code, 0);
  assert.equal((await at.knet("lease ls")).stdout, "No leases\n");
});

Deno.test("knet lease prune --dry-run names what pruning removes, and removes nothing", async () => {
  await using at = await scratch();
  await at.json("init --network 10.9.0.0/16");
  await at.knet("lease reserve 10.9.7.0/24 --public-ip 192.168.2.107");
  await at.knet("lease reserve 10.9.8.0/24 --public-ip 192.168.2.108");
  {
    using database = new DatabaseSync(`${at.path}/knet.db`);
    database.exec(
      "update knet_leases set reserved = 0, expires = renewed - 1, node_name = 'gone', agent_id = 'a', " +
        `backend_data = '{"vtepMac":"02:00:00:00:00:07","vni":1}' where subnet = '10.9.7.0/24'`,
    );
  }
  const before = (await at.knet("lease ls --json")).stdout;
  const dry = await at.knet("lease prune --dry-run");
  assert.match(dry.stdout, /^Would remove 10\.9\.7\.0\/24 of .*\n$/);
  const { dryRun, pruned } = await at.json<{ dryRun: boolean; pruned: LeaseDocument[] }>(
    "lease prune --dry-run",
  );
  assert.deepEqual([dryRun, ...pruned.map(({ subnet }) => subnet)], [true, "10.9.7.0/24"]);
  assert.equal((await at.knet("lease ls --json")).stdout, before);
  assert.match((await at.knet("lease prune")).stdout, /^Removed 10\.9\.7\.0\/24 of .*\n$/);
  assert.equal((await at.knet("lease prune --dry-run")).stdout, "No lease has expired\n");
});

Deno.test("knet lease show of a node that is not there fails and says where to look", async () => {
  await using at = await scratch();
  await at.json("init");
  const outcome = await at.knet("lease show nobody");
  assert.equal(outcome.code, 4);
  assert.match(outcome.stderr, /"nobody": there is none/);
  assert.match(outcome.stderr, /knet lease ls/);
  assert.equal(outcome.stdout, "");
});

Deno.test("knet lease shows no password of the store, at any log level, and warns of it", async () => {
  await using at = await scratch();
  const url = "postgres://knet:hunter2@127.0.0.1:1/knet";
  for (const more of ["", "--log-level debug", "--log-format json", "--json"]) {
    const outcome = await at.knet(`lease ls --store ${url} ${more}`);
    assert.equal(outcome.code, 1, outcome.stderr);
    assert.doesNotMatch(outcome.stdout + outcome.stderr, /hunter2/);
    assert.match(outcome.stderr, /command line is visible/);
  }
});
