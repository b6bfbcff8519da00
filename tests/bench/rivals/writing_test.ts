import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { peerLease, peerLeases } from "../peers.ts";
import { flannelLease, leaseStatements, putBody } from "./writing.ts";

const TABLES = `create table knet_meta (name text primary key, value integer);
  insert into knet_meta values ('revision', 7);
  create table knet_leases (node_id, family, node_name, subnet, public_ip, backend, backend_data,
    boot_id, agent_id, acquired, renewed, expires, reserved, revision, deleted integer default 0)`;

Deno.test("leaseStatements() gives each lease a revision of its own, the last one the store's", () => {
  using database = new DatabaseSync(":memory:");
  database.exec(TABLES);
  for (const statement of leaseStatements(peerLeases(3), 1000)) database.exec(statement);
  const rows = database.prepare("select node_id, subnet, revision from knet_leases").all();
  assert.deepEqual(rows.map((row) => Object.values(row)), [
    ["peer-1", "10.0.1.0/24", 8],
    ["peer-2", "10.0.2.0/24", 9],
    ["peer-3", "10.0.3.0/24", 10],
  ]);
  assert.equal(database.prepare("select value from knet_meta").get()!["value"], 10);
});

Deno.test("leaseStatements() of no lease changes nothing, and a quote is refused", () => {
  assert.deepEqual(leaseStatements([], 1000), []);
  assert.throws(() => leaseStatements([{ ...peerLease(1), nodeName: "it's" }], 0), RangeError);
});

Deno.test("flannelLease() has the key and the attributes of flannel's etcd registry", () => {
  const { key, value } = flannelLease(peerLease(299), "/n/1");
  assert.equal(key, "/n/1/subnets/10.1.44.0-24");
  const { PublicIP, BackendType, BackendData } = JSON.parse(value);
  assert.equal(PublicIP, "172.16.2.45");
  assert.equal(BackendType, "vxlan");
  assert.deepEqual(Object.keys(BackendData), ["VNI", "VtepMAC"]);
  assert.match(BackendData.VtepMAC, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  const plain = JSON.parse(flannelLease({ ...peerLease(1), backend: "host-gw" }, "/n").value);
  assert.equal("BackendData" in plain, false);
});

Deno.test("putBody() is in base64, with a lease of etcd if there is one", () => {
  assert.deepEqual(putBody({ key: "a", value: "b" }), { key: "YQ==", value: "Yg==" });
  assert.equal(putBody({ key: "a", value: "b" }, "17")["lease"], "17");
});
