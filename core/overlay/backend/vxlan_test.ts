import assert from "node:assert/strict";
import { sampleConfig, sampleLease } from "../../../tests/support/samples.ts";
import { type BackendContext } from "./backend.ts";
import { backendOf, overlayMtu } from "./backends.ts";
import { vxlan, vxlanDeviceName } from "./vxlan.ts";

const underlay = {
  ifindex: 2,
  name: "eth0",
  address: "192.168.2.102",
  prefixLength: 24,
  nearby: [{ prefix: "192.168.2.0/24", direct: true }],
  publicIp: "192.168.2.102",
  mtu: 1500,
};
const context: BackendContext = {
  config: sampleConfig({ network: "172.26.0.0/16", serviceNetwork: "10.96.0.0/16" }),
  family: 4,
  nodeId: "n1",
  subnet: "172.26.0.0/24",
  backendData: { vni: 1, mac: "02:00:00:00:00:01" },
  underlay,
  mtu: 1450,
  announced: true,
};

Deno.test("vxlan.peer() gives the entries of the packet's walk", () => {
  const peer = sampleLease({
    subnet: "172.26.1.0/24",
    publicIp: "192.168.2.103",
    backendData: { vni: 1, mac: "92:8d:c4:85:16:ad" },
  });
  const { via, entries } = vxlan.peer(context, 7, peer);
  assert.equal(via, "vxlan");
  assert.deepEqual(
    Object.fromEntries(entries.map(({ kind, value }) => [kind.name, value])),
    {
      fdb: { ifindex: 7, mac: "92:8d:c4:85:16:ad", dst: "192.168.2.103", state: 0xc0, flags: 2 },
      neighbour: {
        family: 4,
        ifindex: 7,
        dst: "172.26.1.0",
        mac: "92:8d:c4:85:16:ad",
        state: 0x80,
        flags: 0,
      },
      nexthop: {
        id: 0,
        family: 4,
        gateway: "172.26.1.0",
        ifindex: 7,
        protocol: 107,
        onlink: true,
        flags: 0,
      },
      route: {
        family: 4,
        dst: "172.26.1.0/24",
        gateway: "172.26.1.0",
        ifindex: 7,
        onlink: true,
        protocol: 107,
        scope: 0,
        table: 254,
        type: 1,
        flags: 0,
      },
    },
  );
  const claim = { since: peer.acquired, owner: peer.nodeId };
  for (const wish of entries) assert.deepEqual(wish.claim, claim);
});

Deno.test("vxlan.peer() leads nowhere for a reservation that nobody took", () => {
  assert.deepEqual(vxlan.peer(context, 7, sampleLease({ backendData: {} })).entries, []);
});

Deno.test("vxlan.device() carries the subnet's first address alone, and never learns", () => {
  assert.deepEqual(vxlan.device(context), {
    name: "knet.1",
    kind: "vxlan",
    mac: "02:00:00:00:00:01",
    mtu: 1450,
    addresses: ["172.26.0.0/32"],
    vxlan: { vni: 1, port: 8472, local: "192.168.2.102", link: 2 },
  });
  const six = { ...context, family: 6 as const, subnet: "fd00:0:0:1::/64" };
  assert.deepEqual(vxlan.device(six)?.addresses, ["fd00:0:0:1::/128"]);
});

Deno.test("vxlan.backendData() derives a MAC address from node and VNI, another one at each attempt", () => {
  const data = (nodeId: string, attempt: number, vni = 1) =>
    vxlan.backendData(sampleConfig({ backend: { type: "vxlan", vni } }).backend, nodeId, attempt);
  assert.deepEqual(data("n1", 0), data("n1", 0));
  assert.equal(data("n1", 0, 7).vni, 7);
  const macs = [data("n1", 0), data("n1", 1), data("n1", 2), data("n2", 0), data("n1", 0, 7)];
  assert.equal(new Set(macs.map(({ mac }) => mac)).size, 5);
});

Deno.test("overlayMtu() takes 50 off for an IPv4 underlay, 70 for IPv6, or what is configured", () => {
  assert.equal(overlayMtu(context.config, underlay, 4), 1450);
  assert.equal(overlayMtu(context.config, underlay, 6), 1430);
  const fixed = sampleConfig({ backend: { type: "vxlan", mtu: 1400 } });
  assert.equal(overlayMtu(fixed, underlay, 4), 1400);
});

Deno.test("vxlanDeviceName() fits into the kernel's 15 bytes for every VNI", () => {
  assert.ok(vxlanDeviceName(2 ** 24 - 1).length <= 15);
  assert.equal(backendOf(context.config.backend), vxlan);
});
