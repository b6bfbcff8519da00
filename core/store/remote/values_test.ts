/**
 * What travels between hosts arrives whole: a member that a shape forgets would be dropped without a word.
 *
 * The samples have every member that their types have, those that may be absent included: one more in a type does not compile here.
 *
 * @module
 */
import assert from "node:assert/strict";
import { checkShape } from "../../base/shape.ts";
import type { ClusterContainer } from "../../cluster/cluster_container.ts";
import { makeClusterConfig } from "../../cluster/config.ts";
import type { BackendData } from "../../cluster/lease.ts";
import type { CopyInfo } from "../admin.ts";
import type { LeaseHolder, LeaseRequest } from "../store.ts";
import { backendData, containerChange, holder, info, request } from "./values.ts";

const DATA: Required<BackendData> = {
  mac: "02:00:00:00:00:01",
  vni: 7,
  probe: 1,
  wants: "192.0.2.7",
};
const LAST = makeClusterConfig({});

Deno.test("a host's word of its lease arrives whole", () => {
  assert.deepEqual(checkShape<unknown>(backendData, DATA), DATA);
  const own = { nodeId: "one", family: 4, agentId: "a", nodeName: "h1", publicIp: "192.0.2.1" };
  const asked: Required<Omit<LeaseRequest, "backendData">> & { backendData: BackendData[] } = {
    ...own,
    family: 4,
    backend: "vxlan",
    bootId: "b",
    asked: true,
    previousSubnet: "10.244.1.0/24",
    backendData: [DATA],
    lastGood: LAST,
  };
  assert.deepEqual(checkShape<unknown>(request, asked), asked);
  const held: Required<LeaseHolder> = {
    ...own,
    family: 4,
    subnet: "10.244.1.0/24",
    backendData: DATA,
    bootId: "b",
    heldIps: ["192.0.2.1"],
    lastGood: LAST,
  };
  assert.deepEqual(checkShape<unknown>(holder, held), held);
});

Deno.test("what a host says of its containers arrives whole", () => {
  const port: Required<ClusterContainer["ports"][number]> = {
    hostPort: 80,
    containerPort: 8080,
    protocol: "tcp",
    hostIp: "192.0.2.1",
  };
  const container: Required<ClusterContainer> = {
    nodeId: "one",
    key: "k",
    name: "web",
    address: "10.244.1.2",
    ifname: "eth0",
    netns: "/run/netns/web",
    runtime: "docker",
    containerId: "c",
    labels: { app: "web" },
    ports: [port],
  };
  const change = { nodeId: "one", agentId: "a", put: [container], remove: ["gone"] };
  assert.deepEqual(checkShape<unknown>(containerChange, change), change);
});

Deno.test("what a store says of itself arrives whole", () => {
  const copy: Required<CopyInfo> = {
    ...{ node: "one", name: "h1", role: "voter", leads: true, index: 7 },
  };
  const said = {
    engine: "dqlite",
    location: "dqlite:/var/lib/knet/dqlite",
    mark: { identity: 1, epoch: 2, revision: 3 },
    schema: 4,
    config: LAST,
    leases: { held: 1, expired: 0, reserved: 0 },
    services: 0,
    realServers: 0,
    tombstones: 0,
    now: 1,
    problems: [],
    copies: [copy],
  };
  assert.deepEqual(checkShape<unknown>(info, said), said);
});
