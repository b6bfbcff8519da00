import assert from "node:assert/strict";
import type { ClusterContainer, StoredContainer } from "../cluster/cluster_container.ts";
import { writeBook } from "../container/addresses.ts";
import { writeHeld } from "../container/held.ts";
import type { ContainerChange } from "../store/container_rows.ts";
import { type RuntimesWord, toldContainers } from "../container/told.ts";
import { ContainerRows, keptContainers, partsOf, planRows } from "./container_rows.ts";

const record = (n: number, more = {}) => ({
  netns: `c${n}`,
  netnsId: `cookie:${n}`,
  ifname: "eth0",
  address: `10.244.1.${n}`,
  prefixLength: 24,
  hostIfname: `kv${n}`,
  ...more,
});

type Lease = { readonly subnet: string; readonly acquired: number };

/** What is kept of these. */
const kept = (...book: Parameters<typeof toldContainers>[1]) =>
  keptContainers(toldContainers("n1", book), "10.244.1.0/24");

/** A store that keeps one host's rows, and may be away. */
class Rows {
  rows = new Map<string, StoredContainer>();
  leftOut: string[] = [];
  changes: ContainerChange[] = [];
  reads = 0;
  away = false;
  /** Resolves at the first change. */
  told = Promise.withResolvers<void>();

  #answer(): void {
    if (this.away) throw new Error("away");
  }
  listContainers() {
    this.#answer();
    this.reads++;
    return Promise.resolve({
      containers: [...this.rows.values()],
      problems: [],
      leftOut: this.leftOut,
    });
  }
  putContainers(change: ContainerChange) {
    this.#answer();
    this.changes.push(change);
    for (const one of change.put) this.rows.set(one.key, { ...one, nodeName: "one" });
    for (const key of change.remove) this.rows.delete(key);
    this.leftOut = this.leftOut.filter((key) => !change.remove.includes(key));
    this.told.resolve();
    return Promise.resolve();
  }
  get names() {
    return [...this.rows.values()].map(({ address }) => address).sort();
  }
}

function scene() {
  const place = { dataDir: Deno.makeTempDirSync(), bootId: "a" };
  const store = new Rows();
  const docker = { named: new Map<string, RuntimesWord>(), version: "", look: async () => {} };
  const state = { lease: { subnet: "10.244.1.0/24", acquired: 1 } as Lease | undefined };
  const rows = new ContainerRows({
    store,
    identity: { nodeId: "n1", agentId: "a1" },
    place,
    docker,
    holds: () => state.lease,
  });
  return {
    ...{ place, store, docker, state, rows },
    [Symbol.dispose]: () => Deno.removeSync(place.dataDir, { recursive: true }),
  };
}

Deno.test("ContainerRows tells of what came and went in one batch, and says nothing where nothing changed", async () => {
  using at = scene();
  writeBook(at.place, [record(2), record(3)]);
  await at.rows.tell();
  await at.rows.tell();
  assert.deepEqual(at.store.names, ["10.244.1.2", "10.244.1.3"]);
  assert.deepEqual([at.store.changes.length, at.store.reads], [1, 1]);
  writeBook(at.place, [record(3, { name: "db" }), record(4)]);
  writeHeld(at.place, [{ address: "10.244.1.9", runtime: "docker" }]);
  await at.rows.tell();
  assert.deepEqual(at.store.names, ["10.244.1.3", "10.244.1.4", "10.244.1.9"]);
  const [, change] = at.store.changes;
  assert.deepEqual(change?.remove, ["kv2"]);
  assert.equal(at.store.rows.get("kv3")?.name, "db");
  assert.equal(at.store.reads, 1, "what it wrote it knows");
});

Deno.test("ContainerRows writes nothing without a lease, and all again with another one", async () => {
  using at = scene();
  writeBook(at.place, [record(2)]);
  at.state.lease = undefined;
  await at.rows.tell();
  assert.equal(at.store.reads, 0);
  at.state.lease = { subnet: "10.244.1.0/24", acquired: 1 };
  await at.rows.tell();
  // Released and taken again: the rows went with it.
  at.store.rows.clear();
  at.state.lease = { subnet: "10.244.1.0/24", acquired: 2 };
  await at.rows.tell();
  assert.deepEqual(at.store.names, ["10.244.1.2"]);
});

Deno.test("ContainerRows.run() goes on behind a store that is away, and takes rows of an earlier life away", async () => {
  using at = scene();
  at.store.rows.set("old", {
    ...kept(record(7))[0]!,
    key: "old",
    nodeName: "one",
  });
  at.store.away = true;
  const stop = new AbortController();
  const running = at.rows.run(stop.signal);
  writeBook(at.place, [record(2)]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(at.store.changes, []);
  at.store.away = false;
  await at.store.told.promise;
  stop.abort();
  await running;
  assert.deepEqual(at.store.names, ["10.244.1.2"]);
});

Deno.test("planRows() does not take the order of labels or a revision for a difference", () => {
  const ports = [{ hostPort: 80, containerPort: 8080, protocol: "tcp" as const }];
  const [a] = kept(record(2, { labels: { a: "1", b: "2" }, ports }));
  const b = { ...a!, labels: { b: "2", a: "1" }, nodeName: "one" };
  assert.deepEqual(planRows([a!], { containers: [b], leftOut: [] }), { put: [], remove: [] });
  const moved = { ...a!, ports: [{ ...ports[0]!, hostIp: "127.0.0.1" }] };
  assert.equal(planRows([moved], { containers: [b], leftOut: [] }).put.length, 1);
});

Deno.test("ContainerRows takes away what cannot be read, and all of the subnet that it had before", async () => {
  using at = scene();
  at.store.leftOut = ["kv2", "nobody's"];
  writeBook(at.place, [record(2), record(3)]);
  await at.rows.tell();
  assert.deepEqual(at.store.names, ["10.244.1.2", "10.244.1.3"]);
  assert.deepEqual(at.store.leftOut, ["kv2"], "what was there is written over");
  at.state.lease = { subnet: "10.244.2.0/24", acquired: 3 };
  writeBook(at.place, [record(2, { address: "10.244.2.2" }), record(3)]);
  await at.rows.tell();
  assert.deepEqual(at.store.names, ["10.244.2.2"], "who could not be moved is not told of");
});

Deno.test("keptContainers() keeps each container's row small, and the same for the same labels", () => {
  const labels = Object.fromEntries(
    Array.from({ length: 500 }, (_, n) => [`l${String(n).padStart(3, "0")}`, "é".repeat(20)]),
  );
  const reversed = Object.fromEntries(Object.entries(labels).reverse());
  const more = { netns: "/".repeat(1000), name: "a b", labels };
  const [one] = kept(record(2, more));
  const [two] = kept(record(2, { ...more, labels: reversed }));
  assert.deepEqual(planRows([one!], { containers: [two!], leftOut: [] }).put, []);
  assert.ok(JSON.stringify(one).length < 4000);
  assert.equal(one!.labels["l000"], "é".repeat(20));
  assert.equal(one!.name, "", "a name that is none is left away");
});

Deno.test("partsOf() makes changes that fit a host's request, those that went first, and leaves none out", () => {
  const big = Object.fromEntries(
    Array.from({ length: 90 }, (_, n) => [`l${n}`, "\u20ac".repeat(15)]),
  );
  const book = Array.from(
    { length: 450 },
    (_, n) =>
      record(n, { address: `10.244.${n >> 8}.${n & 255}`, ...(n < 200 && { labels: big }) }),
  );
  const put = keptContainers(toldContainers("n1", book), "10.244.0.0/16");
  const remove = Array.from({ length: 450 }, (_, n) => `gone${n}`);
  const parts = [...partsOf({ put, remove })];
  for (const part of parts) {
    assert.ok(new TextEncoder().encode(JSON.stringify(part)).length < 60 * 1024);
    assert.ok(part.put.length <= 200 && part.remove.length <= 200);
  }
  assert.deepEqual(parts.flatMap((part) => part.put), put);
  assert.deepEqual(parts.flatMap((part) => part.remove), remove);
  const first = parts.findIndex((part: { put: readonly ClusterContainer[] }) =>
    part.put.length > 0
  );
  assert.ok(parts.slice(first).every((part) => part.remove.length === 0));
});

Deno.test("ContainerRows tells what Docker calls a container as soon as that is known, and no other runtime's", async () => {
  using at = scene();
  writeHeld(at.place, [
    { address: "10.244.1.9", runtime: "docker" },
    { address: "10.244.1.10", runtime: "other" },
  ]);
  await at.rows.tell();
  const names = () => [...at.store.rows.values()].map(({ address, name }) => [address, name]);
  assert.deepEqual(names(), [["10.244.1.9", ""], ["10.244.1.10", ""]]);
  for (const address of ["10.244.1.9", "10.244.1.10"]) {
    at.docker.named.set(address, { name: "db", containerId: "3f", labels: { a: "b" }, ports: [] });
  }
  at.docker.version = "1";
  assert.equal(await at.rows.tell(), true);
  assert.deepEqual(names(), [["10.244.1.9", "db"], ["10.244.1.10", ""]]);
  assert.deepEqual(at.store.rows.get("docker 10.244.1.9")?.labels, { a: "b" });
});
