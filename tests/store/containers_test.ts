// Containers in the store: each host's own word, on all engines.
import assert from "node:assert/strict";
import {
  type ClusterContainer,
  MOST_CONTAINERS_A_HOST,
} from "../../core/cluster/cluster_container.ts";
import type { ContainerSelector } from "../../core/store/container_rows.ts";
import { byHand } from "../support/by_hand.ts";
import { requestOf } from "../support/lease_driver.ts";
import { engines, refusal } from "../support/store_engines.ts";

const container = (
  nodeId: string,
  n: number,
  more: Partial<ClusterContainer> = {},
): ClusterContainer => ({
  nodeId,
  key: `kv${n}`,
  name: `c${n}`,
  address: `10.244.0.${n % 250}`,
  ifname: "eth0",
  netns: "",
  runtime: "cni",
  containerId: `id${n}`,
  labels: { app: "web" },
  ports: [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIp: "127.0.0.1" }],
  ...more,
});

// The worker runs the same statements, and takes its time to begin where the machine is busy.
const { "sqlite in a worker": _worker, ...ENGINES } = engines;

for (const [name, start] of Object.entries(ENGINES)) {
  Deno.test(`Containers in the store (${name})`, async (test) => {
    await using engine = await start();

    await test.step(`${name}: are put, changed and removed, are read as they were written, and count as no change`, () =>
      engine.fresh({}, async (a, b) => {
        const { lease: { agentId } } = await a.acquireLease(requestOf("one", "192.168.2.31"));
        await a.acquireLease(requestOf("two", "192.168.2.32"));
        const before = await b.changesSince(0, "rows");
        const put = [container("one", 2), container("one", 3, { labels: {}, ports: [] })];
        await a.putContainers({ nodeId: "one", agentId, put, remove: ["nobody"] });
        const read = async () =>
          (await b.listContainers()).containers.map(({ nodeName: _, ...rest }) => rest);
        assert.deepEqual(await read(), put);
        const changed = container("one", 3, { name: "db", labels: { tier: 'a"b' } });
        await a.putContainers({ nodeId: "one", agentId, put: [changed], remove: ["kv2"] });
        assert.deepEqual(await read(), [changed]);
        // Gone, and come again; said twice, the last word holds.
        await a.putContainers({
          ...{ nodeId: "one", agentId, remove: [] },
          put: [container("one", 2, { name: "old" }), put[0]!],
        });
        assert.deepEqual(await read(), [put[0], changed]);
        const found = async (selector: ContainerSelector) =>
          (await b.listContainers(selector)).containers.map(({ key, nodeName }) => [key, nodeName]);
        const two = ["kv2", "one"], three = ["kv3", "one"];
        assert.deepEqual(await found({ nodeId: "two" }), []);
        assert.deepEqual(await found({ nodeId: "one" }), [two, three]);
        assert.deepEqual(await found({ name: "db" }), [three]);
        assert.deepEqual(await found({ address: put[0]!.address }), [two]);
        assert.deepEqual(await found({ address: put[0]!.address, name: "db" }), []);
        // No host is woken, and none takes the store for another one.
        const after = await b.changesSince(0, "rows");
        assert.deepEqual([after.revision, after.marks], [before.revision, before.marks]);
      }));

    await test.step(`${name}: are written by the holder of the lease alone, in its subnet, and go with it`, () =>
      engine.fresh({}, async (a, b, url) => {
        const say = (agentId: string, ...put: ClusterContainer[]) =>
          a.putContainers({ nodeId: "one", agentId, put, remove: [] });
        const two = container("one", 2);
        await assert.rejects(say("agent", two), refusal(/holds no lease/));
        const { lease } = await a.acquireLease(requestOf("one", "192.168.2.31"));
        await assert.rejects(say("another", two), refusal(/holds no lease/));
        const foreign = container("one", 3, { address: "10.244.9.3" });
        await assert.rejects(
          say(lease.agentId, two, foreign),
          refusal(/outside its host's subnet/),
        );
        assert.deepEqual((await b.listContainers()).containers, [], "all or nothing");
        await assert.rejects(
          say(lease.agentId, container("one", 3, { address: "fd00::1" })),
          refusal(/outside its host's subnet/),
        );
        await say(lease.agentId, two);
        // What an older knet leaves behind, of a host that it pruned.
        await byHand(
          url,
          "insert into knet_containers select 'gone', key, name, address, ifname, netns, runtime, container_id, labels, ports from knet_containers",
        );
        assert.deepEqual((await b.listContainers()).containers.map(({ nodeId }) => nodeId), [
          "one",
        ]);
        await b.releaseLease("one", { force: true });
        assert.deepEqual((await b.listContainers()).containers, []);
        await assert.rejects(say(lease.agentId, two), refusal(/holds no lease/));
        const { lease: again } = await a.acquireLease(requestOf("gone", "192.168.2.33"));
        assert.equal(again.subnet, lease.subnet);
        assert.deepEqual((await b.listContainers()).containers, [], "nothing comes back by itself");
      }));

    await test.step(`${name}: that make no sense are left out and named, and no store is another one for them`, () =>
      engine.fresh({}, async (a, b, url) => {
        const { lease: { agentId } } = await a.acquireLease(requestOf("one", "192.168.2.31"));
        const put = [2, 3, 4, 5, 6, 7].map((n) => container("one", n));
        await a.putContainers({ nodeId: "one", agentId, put, remove: [] });
        const before = await b.changesSince(0, "tally");
        await byHand(
          url,
          "update knet_containers set address = '10.244.1.1' where key = 'kv2'",
          "update knet_containers set labels = '{' where key = 'kv3'",
          "update knet_containers set ports = '[{}]' where key = 'kv4'",
          "update knet_containers set address = 'nowhere' where key = 'kv5'",
          "update knet_containers set name = 'a b' where key = 'kv7'",
        );
        const { containers, problems, leftOut } = await b.listContainers();
        assert.deepEqual(containers.map(({ key }) => key), ["kv6"]);
        assert.deepEqual(
          problems.map(({ what }) => what),
          ["c2", "c3", "c4", "c5", "a b"].map((title) => `container "${title}"`),
        );
        assert.match(problems[0]!.state, /outside its host's subnet/);
        // Its host takes them away.
        await a.putContainers({ nodeId: "one", agentId, put: [], remove: leftOut });
        assert.deepEqual((await b.listContainers()).leftOut, []);
        await byHand(url, "delete from knet_containers");
        assert.equal((await b.changesSince(0, "tally")).tally, before.tally);
      }));

    await test.step(`${name}: are written and read up to a host's most, each cut to its size`, () =>
      engine.fresh({}, async (a, b, url) => {
        const { lease: { agentId } } = await a.acquireLease(requestOf("one", "192.168.2.31"));
        const say = (...put: ClusterContainer[]) =>
          a.putContainers({ nodeId: "one", agentId, put, remove: [] });
        // As many as an agent tells of at once.
        await say(...Array.from({ length: 200 }, (_, n) => container("one", n)));
        const labels = { a: "x".repeat(1000), b: "x".repeat(2000), c: "short" };
        await say(container("one", 7, { netns: "/".repeat(999), labels }));
        const { containers } = await b.listContainers({ nodeId: "one" });
        assert.equal(containers.length, 200);
        const seventh = containers.find(({ key }) => key === "kv7")!;
        assert.deepEqual(Object.keys(seventh.labels), ["a", "c"]);
        assert.equal(seventh.netns.length, 256);
        // Thousands at once keep the three servers of one process from hearing each other where the machine is busy.
        if (name === "dqlite") return;
        await byHand(
          url,
          `insert into knet_containers select 'one', a.key || b.key, '', '10.244.0.9', '', '', '', '', '{}', '[]' from knet_containers a, knet_containers b limit ${
            MOST_CONTAINERS_A_HOST - 200
          }`,
        );
        await assert.rejects(say(container("one", 5000)), refusal(/more than 4096/));
        await say(container("one", 8));
        assert.equal((await b.listContainers()).containers.length, MOST_CONTAINERS_A_HOST);
      }));

    await test.step(`${name}: are not written to another store than the one that is expected`, () =>
      engine.fresh({}, async (a, b) => {
        const { lease: { agentId } } = await a.acquireLease(requestOf("one", "192.168.2.31"));
        const { mark } = await a.changesSince(0);
        a.expect({ ...mark, identity: mark.identity + 1 });
        const put = [container("one", 2)];
        await assert.rejects(a.putContainers({ nodeId: "one", agentId, put, remove: [] }));
        assert.deepEqual((await b.listContainers()).containers, []);
      }));
  });
}
