/**
 * Rows that somebody has edited, of a newer knet, or of nobody: the others are read all the same.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { KnetError } from "../../core/base/error.ts";
import { makeClusterConfig } from "../../core/cluster/config.ts";
import { openStore } from "../../core/store/open.ts";
import { readSnapshot, writeSnapshot } from "../../core/store/snapshot.ts";
import { requestOf } from "../support/lease_driver.ts";
import { service } from "../support/services.ts";
import { type FuzzTarget, hurtText, refusesOnlyBy } from "./target.ts";

const NODES = ["one", "two", "three", "four", "five"];

/** Values for any column. */
const value = fc.oneof(
  fc.constantFrom<null | number | bigint | string>(
    null,
    0,
    -1,
    1.5,
    2 ** 53,
    2n ** 62n,
    "",
    "8.8.8.8/32",
    "10.244.0.0/24",
    "10.244.0.0/8",
    "127.0.0.1",
    "224.0.0.1",
    "::1",
    "{}",
    "[]",
    "null",
    "x".repeat(100_000),
    "\x1b[2J",
  ),
  fc.string(),
  fc.integer(),
  fc.double(),
  fc.uint8Array({ maxLength: 40 }),
);

/** A hurt row is left out, or read; whatever it says, the others are there and nothing but a KnetError comes. */
export const rows: FuzzTarget = {
  name: "rows",
  about: "one row of the store with any value in a column",
  runs: 30,
  async open() {
    const folder = await Deno.makeTempDir({ prefix: "knet-fuzz-" });
    const path = `${folder}/knet.db`;
    const store = await openStore(`sqlite:${path}`);
    await store.initConfig(makeClusterConfig({}));
    for (const [n, node] of NODES.entries()) {
      const { lease } = await store.acquireLease(requestOf(node, `192.168.2.1${n}`));
      const container = {
        ...{ nodeId: node, key: "kv2", name: node, ifname: "eth0", netns: "", runtime: "" },
        ...{ address: lease.subnet.replace("0/24", "2"), containerId: "", labels: {}, ports: [] },
      };
      const { agentId } = lease;
      await store.putContainers({ nodeId: node, agentId, put: [container], remove: [] });
    }
    const put = NODES.map((name, n) => service(name, { port: 80 + n }));
    await store.editServices("all", () => ({ put, result: 0 }));
    const database = new DatabaseSync(path);
    const tables = {
      ...{ knet_leases: "node_id", knet_services: "name", knet_destinations: "service" },
      knet_containers: "node_id",
    };
    const columns = Object.keys(tables).flatMap((table) =>
      database.prepare(`select name from pragma_table_info('${table}')`).all()
        .map(({ name }) => ({ table: table as keyof typeof tables, column: String(name) }))
        .filter(({ column }) => column !== tables[table as keyof typeof tables])
    );
    const property = fc.asyncProperty(
      fc.constantFrom(...columns),
      fc.constantFrom(...NODES),
      value,
      async ({ table, column }, row, hurt) => {
        try {
          try {
            database.prepare(`update ${table} set ${column} = ? where ${tables[table]} = ?`)
              .run(hurt, row);
          } catch {
            return; // The engine does not take it.
          }
          const others = (names: readonly string[]) => names.filter((name) => name !== row).length;
          const { leases } = await store.listLeases();
          assert.equal(others(leases.map(({ nodeId }) => nodeId)), 4, "another lease is gone");
          const { services } = await store.listServices();
          assert.equal(others(services.map(({ name }) => name)), 4, "another service is gone");
          const { containers, leftOut } = await store.listContainers();
          assert.equal(
            others(containers.map(({ nodeId }) => nodeId)),
            4,
            "another container is gone",
          );
          assert.ok(leftOut.every((key) => typeof key === "string"));
          const changes = await store.changesSince(0);
          assert.equal(others(changes.leases.map(({ nodeId }) => nodeId)), 4);
          await store.getConfig();
        } finally {
          database.exec(
            `update ${table} set ${column} = (select kept.${column} from kept_${table} kept ` +
              `where kept.rowid = ${table}.rowid)`,
          );
        }
      },
    );
    for (const table of Object.keys(tables)) {
      database.exec(`create table kept_${table} as select rowid as rowid, * from ${table}`);
    }
    return {
      property,
      async [Symbol.asyncDispose]() {
        database.close();
        await store[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
      },
    };
  },
};

/** Whatever the configuration's row says: it is read, or what is wrong with it is said; the leases are there, and a host that has a good one goes on. */
export const config: FuzzTarget = {
  name: "config",
  about: "the configuration's row: its columns, and parts of its document",
  runs: 40,
  async open() {
    const folder = await Deno.makeTempDir({ prefix: "knet-fuzz-" });
    const path = `${folder}/knet.db`;
    const store = await openStore(`sqlite:${path}`);
    const good = await store.initConfig(makeClusterConfig({}));
    for (const [n, node] of NODES.entries()) {
      await store.acquireLease(requestOf(node, `192.168.2.1${n}`));
    }
    const database = new DatabaseSync(path);
    const columns = database.prepare("select name from pragma_table_info('knet_config')").all()
      .map(({ name }) => String(name));
    database.exec("create table kept as select * from knet_config");
    const replaced = fc.tuple(fc.constantFrom(...Object.keys(good)), fc.jsonValue())
      .map(([key, one]) => JSON.stringify({ ...good, [key]: one }));
    const hurt = fc.oneof(
      fc.tuple(fc.constantFrom(...columns), value),
      fc.tuple(fc.constant("document"), fc.oneof(hurtText([JSON.stringify(good)]), replaced)),
    );
    const property = fc.asyncProperty(hurt, async ([column, what]) => {
      try {
        try {
          database.prepare(`update knet_config set ${column} = ?`).run(what);
        } catch {
          return; // The engine does not take it.
        }
        let said: string | undefined;
        await refusesOnlyBy([KnetError], async () => {
          await store.getConfig().catch((error) => {
            said = error.message;
            throw error;
          });
        });
        const { leases, problems } = await store.listLeases();
        assert.equal(leases.length, NODES.length);
        assert.equal(problems.length > 0, said !== undefined, said ?? "said by one, not by both");
        const changes = await store.changesSince(0, "revision", good);
        assert.equal(changes.leases.length, NODES.length);
        assert.equal(changes.configProblem !== undefined, said !== undefined, said);
      } finally {
        database.exec("delete from knet_config; insert into knet_config select * from kept");
      }
    });
    return {
      property,
      async [Symbol.asyncDispose]() {
        database.close();
        await store[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
      },
    };
  },
};

/** The snapshot in the data directory: read, or passed over with a sentence. */
export const snapshot: FuzzTarget = {
  name: "snapshot",
  about: "the snapshot in the data directory",
  runs: 300,
  async open() {
    const folder = await Deno.makeTempDir({ prefix: "knet-fuzz-" });
    const store = await openStore(`sqlite:${folder}/knet.db`);
    const config = await store.initConfig(makeClusterConfig({}));
    const [own, peer] = await Promise.all(
      ["own", "peer"].map((node, n) => store.acquireLease(requestOf(node, `192.168.2.1${n}`))),
    );
    writeSnapshot(folder, {
      version: 1,
      config,
      own: own!.lease,
      peers: [peer!.lease],
      services: [service("web", { port: 80 })],
    });
    await store[Symbol.asyncDispose]();
    const path = `${folder}/snapshot.json`;
    const property = fc.asyncProperty(hurtText([await Deno.readTextFile(path)]), async (text) => {
      await Deno.writeTextFile(path, text);
      let warned = 0;
      await refusesOnlyBy([KnetError], () => {
        const read = readSnapshot(folder, "own", () => warned++);
        assert.ok(read !== undefined || warned === 1);
      });
    });
    return {
      property,
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    };
  },
};
