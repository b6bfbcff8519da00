// A configuration that makes no sense: who has a good one goes on with it, everybody else is told what is wrong.
import assert from "node:assert/strict";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { whyOther } from "../../core/store/identity.ts";
import { NO_TIMEOUTS } from "../../core/services/service.ts";
import { byHand } from "../support/by_hand.ts";
import { requestOf } from "../support/lease_driver.ts";
import { service } from "../support/services.ts";
import { engines, refusal } from "../support/store_engines.ts";

const good = makeClusterConfig({});
const write = (document: unknown) =>
  `update knet_config set document = '${JSON.stringify(document)}'`;

/** The table made anew by somebody who knows of no checks. */
const loosely = (...rows: string[]) => [
  "create table loose (id integer primary key, document text, revision bigint)",
  ...rows.map((row) => `insert into loose ${row}`),
  "drop table knet_config",
  "alter table loose rename to knet_config",
];

/** What is done to the row, and what is said of it. */
const INJURIES: Record<string, [statements: string[], state: RegExp]> = {
  "a network of loopback addresses": [[write({ ...good, network: "127.0.0.0/8" })], /loopback/],
  "another network": [
    [write(makeClusterConfig({ network: "10.50.0.0/16" }))],
    /subnets of 10\.50\.0\.0\/16, and hosts hold others, such as "one" 10\.244\.0\.0\/24/,
  ],
  "another backend": [
    [write(makeClusterConfig({ backend: { type: "host-gw" } }))],
    /its backend is host-gw/,
  ],
  "numbers as texts": [[write({ ...good, subnetLen: "24" })], /subnetLen/],
  "leases of no time": [[write({ ...good, leaseTtl: 0 })], /lease TTL 0/],
  "a list": [[write([])], /it has no network/],
  "no JSON": [["update knet_config set document = '{'"], /JSON/],
  "text without an end": [
    [`update knet_config set document = '${" ".repeat(100_000)}'`],
    /longer than/,
  ],
  "two rows": [
    loosely("select * from knet_config", "select 2, document, revision from knet_config"),
    /there are two rows of it/,
  ],
  "two rows, neither where it should be": [
    loosely(...[2, 3].map((id) => `select ${id}, document, revision from knet_config`)),
    /there are two rows of it/,
  ],
  "a revision of NULL": [
    loosely("select id, document, null from knet_config"),
    /its revision is no whole number/,
  ],
  "a revision below 0": [
    ["update knet_config set revision = -7"],
    /its revision is no whole number/,
  ],
  "a document of NULL": [loosely("select id, null, revision from knet_config"), /it is null/],
  "no row": [["delete from knet_config"], /there is none, though hosts hold leases/],
};

const EMPTIED = /its counters are gone/;

/** What an agent says of a store from which somebody deleted one row of knet_meta. */
const COUNTERS: Record<string, string | undefined> = {
  schema: "emptied",
  revision: "its revision went back from 3 to 0",
  identity: "it has lost its identity",
  epoch: "it is an older one (epoch 0, this host knows 1)",
  oldest_reader: undefined,
  purged: undefined,
};

// The worker runs the same statements.
const { sqlite, postgres } = engines;

for (const [name, start] of Object.entries({ sqlite: sqlite!, postgres: postgres! })) {
  Deno.test(`A configuration that makes no sense (${name})`, async (test) => {
    await using engine = await start();

    for (const [what, [statements, state]] of Object.entries(INJURIES)) {
      await test.step(`${name}: ${what}`, () =>
        engine.fresh({}, async (a, b, url) => {
          const request = requestOf("one", "192.168.2.31");
          const { lease } = await a.acquireLease(request);
          await a.acquireLease(requestOf("two", "192.168.2.32"));
          await a.editServices("all", () => ({ put: [service("web")], result: 0 }));
          const { config: lastGood, revision } = await b.changesSince(0);
          await byHand(url, ...statements, "update knet_leases set revision = revision + 100");
          await byHand(url, "update knet_meta set value = value + 100 where name = 'revision'");

          // Commands say what is wrong; those that need no configuration go on.
          const refused = refusal(/^Cannot use the cluster configuration in the store: /);
          await assert.rejects(b.getConfig(), refused);
          await assert.rejects(b.getConfig(), { message: state });
          await assert.rejects(b.changesSince(0), refused);
          await assert.rejects(b.acquireLease(requestOf("new", "192.168.2.33")), refused);
          await assert.rejects(b.initConfig(good), refused);
          const listed = await b.listLeases();
          assert.equal(listed.leases.length, 2);
          assert.ok(listed.problems.some((problem) => state.test(problem.state)));
          assert.equal((await b.listServices()).services.length, 1);

          // Who has a good one goes on.
          for (const since of [0, revision]) {
            const changes = await b.changesSince(since, "revision", lastGood!);
            assert.match(changes.configProblem ?? "nothing", state);
            // Of none at all, agents are told: to a member it is another store.
            assert.equal(changes.config ?? undefined, undefined);
            assert.equal(changes.leases.length, 2);
          }
          const { agentId, nodeName, publicIp, nodeId, family } = request;
          const { subnet, backendData } = lease;
          const holder = { agentId, nodeName, publicIp, nodeId, family, subnet, backendData };
          const renewal = await a.renewLease({ ...holder, lastGood: lastGood! });
          assert.equal(renewal.state, "renewed");
          const again = await a.acquireLease({ ...request, lastGood: lastGood! });
          assert.deepEqual([again.how, again.lease.subnet], ["kept", subnet]);

          // It is written anew only when asked for, and only as the hosts have it.
          await assert.rejects(
            a.initConfig(makeClusterConfig({ network: "10.60.0.0/16" }), { replace: true }),
            refusal(/^Cannot replace the cluster configuration .* hosts hold others/),
          );
          await a.initConfig(good, { replace: true });
          assert.deepEqual(await b.getConfig(), good);
          const after = await b.changesSince(0, "revision", lastGood!);
          assert.deepEqual([after.config, after.configProblem], [good, undefined]);
        }));
    }

    await test.step(`${name}: with it, leases are judged by the last good one`, () =>
      engine.fresh({}, async (a, b, url) => {
        await a.acquireLease(requestOf("one", "192.168.2.31"));
        await a.acquireLease(requestOf("two", "192.168.2.32"));
        await byHand(
          url,
          "update knet_config set document = 'null'",
          "update knet_leases set subnet = '8.8.8.8/32' where node_id = 'one'",
        );
        const { leases } = await b.changesSince(0, "revision", good);
        assert.deepEqual(leases.map(({ nodeId }) => nodeId), ["two"]);
      }));

    for (const [gone, other] of Object.entries(COUNTERS)) {
      await test.step(`${name}: without the counter "${gone}" nothing is lost, and who knows the store is told`, () =>
        engine.fresh({}, async (a, b, url) => {
          const { lease } = await a.acquireLease(requestOf("one", "192.168.2.31"));
          await a.editServices("all", () => ({ put: [service("web")], result: 0 }));
          const { mark } = await a.changesSince(0);
          await byHand(url, `delete from knet_meta where name = '${gone}'`);
          if (other === "emptied") {
            await assert.rejects(b.changesSince(0), refusal(EMPTIED));
            await assert.rejects(
              b.acquireLease(requestOf("two", "192.168.2.32")),
              refusal(EMPTIED),
            );
            return;
          }
          const { mark: found, leases } = await b.changesSince(0);
          assert.equal(whyOther(mark, found), other);
          assert.deepEqual(leases.map(({ subnet }) => subnet), [lease.subnet]);
          // A write without revision would be seen by nobody.
          const write = b.editServices("all", () => ({ remove: ["web"], result: 0 }));
          if (gone === "revision") await assert.rejects(write, refusal(EMPTIED));
          else await write;
          const { services } = await b.listServices();
          assert.equal(services.length, gone === "revision" ? 1 : 0);
          assert.equal((await a.listLeases()).leases.length, 1);
        }));
    }

    await test.step(`${name}: a store without anything is one that init may write`, () =>
      engine.fresh({}, async (a, b, url) => {
        await byHand(url, "delete from knet_config");
        assert.equal(await b.getConfig(), undefined);
        const { config, timeouts } = await b.changesSince(0);
        assert.deepEqual([config, timeouts], [null, NO_TIMEOUTS]);
        await a.initConfig(good);
        assert.deepEqual(await b.getConfig(), good);
      }));
  });
}
