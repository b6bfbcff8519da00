import assert from "node:assert/strict";
import type { Lease } from "../../cluster/lease.ts";
import { compareClocks } from "./store_check.ts";

const HERE = 1_700_000_000_000;
const HOUR = 3_600_000;
const lease = (nodeId: string, renewed: number): Lease => ({
  nodeId,
  family: 4,
  nodeName: nodeId,
  subnet: "10.244.1.0/24",
  publicIp: "192.168.2.101",
  backend: "vxlan",
  backendData: {},
  bootId: "b",
  agentId: "a",
  acquired: renewed,
  renewed,
  expires: renewed + HOUR,
  reserved: false,
  revision: 1,
});
const sqlite = (...leases: Lease[]) => compareClocks("sqlite", leases, "own", HERE, HERE);

Deno.test("compareClocks() compares with Postgres' clock", () => {
  const at = (now: number) => compareClocks("postgres", [], undefined, now, HERE);
  assert.equal(at(HERE + 20_000).status, "ok");
  assert.match(at(HERE + HOUR).detail, /3600 s behind the store's/);
  assert.match(at(HERE - HOUR).detail, /3600 s ahead of the store's/);
  assert.match(at(HERE - HOUR).remedy ?? "", /NTP/);
});

Deno.test("compareClocks() goes by the other hosts' renewals where the store has no clock", () => {
  assert.equal(sqlite().status, "ok");
  assert.equal(sqlite(lease("own", HERE + HOUR)).status, "ok", "its own says nothing");
  assert.equal(sqlite(lease("a", HERE - HOUR / 2)).status, "ok");
  assert.match(sqlite(lease("a", HERE + HOUR)).detail, /3600 s in the future/);
  assert.match(sqlite(lease("a", HERE - 2 * HOUR)).detail, /ahead, or none of their agents/);
  assert.equal(sqlite(lease("a", HERE - 2 * HOUR), lease("b", HERE)).status, "ok", "one lives");
});
