import assert from "node:assert/strict";
import type { StatusReport } from "../core/inspect/status.ts";
import { makeCounters, readCounters } from "../core/overlay/udp/counters.ts";
import { statusText } from "./status.ts";

const NOW = Date.parse("2030-01-02T00:00:00Z");

const report: StatusReport = {
  node: {
    id: "0a",
    name: "host-1",
    publicIp: "192.168.2.101",
    subnet: "10.244.0.0/24",
    backend: "vxlan",
    mtu: 1450,
    device: "knet.1",
    bridge: "knet0",
    lease: {
      acquired: NOW - 7_200_000,
      renewed: NOW - 3_600_000,
      expires: NOW + 82_800_000,
      reserved: false,
    },
  },
  agent: { running: true, pid: 4711, since: NOW - 60_000, ready: true, state: "2 peers" },
  store: { url: "sqlite:/var/lib/knet/knet.db", state: "ok", detail: "", revision: 7 },
  peers: [
    {
      name: "host-2",
      nodeId: "0b",
      subnet: "10.244.1.0/24",
      publicIp: "192.168.2.102",
      expired: false,
      route: true,
      neighbour: true,
      fdb: true,
      entries: { fdb: true, neighbour: true, nexthop: true, route: true },
      via: "vxlan",
    },
    {
      name: "host-3",
      nodeId: "0c",
      subnet: "10.244.2.0/24",
      publicIp: "192.168.2.103",
      expired: true,
      route: true,
      neighbour: false,
      fdb: false,
      entries: { route: true },
      via: "direct",
      warning: "not on this link",
    },
  ],
  containers: [{ netns: "web", ifname: "eth0", address: "10.244.0.2", stranded: true }],
  warnings: ["FORWARD drops"],
};

Deno.test("statusText() shows node, agent, store, peers, containers and warnings", () => {
  const text = statusText(report, NOW);
  assert.match(text, /^node +host-1, 0a$/m);
  assert.match(text, /^lease +renewed 1 h ago, expires in 23 h$/m);
  assert.match(text, /^devices +knet\.1, knet0, MTU 1450$/m);
  assert.match(text, /^agent +2 peers \(pid 4711, started 1 min ago\)$/m);
  assert.match(text, /^store +sqlite:\/var\/lib\/knet\/knet\.db: ok$/m);
  assert.match(text, /^host-2 +10\.244\.1\.0\/24 +192\.168\.2\.102 +vxlan +ok +ok +ok +-$/m);
  assert.match(text, /^web +eth0 +10\.244\.0\.2 +stranded: attach it again$/m);
  assert.match(text, /^Warning: FORWARD drops$/m);
});

Deno.test("statusText() expects neighbours and forwarding entries of tunnels only", () => {
  const text = statusText(report, NOW);
  assert.match(text, /^host-3 .* direct +ok +- +- +lease expired; not on this link$/m);
});

Deno.test("statusText() says that the agent is not running", () => {
  const text = statusText({
    ...report,
    agent: { running: false, ready: false, state: "" },
    peers: [],
    containers: [],
    warnings: [],
  }, NOW);
  assert.match(text, /^agent +not running$/m);
  assert.match(text, /No peers$/);
});

Deno.test("statusText() shows what the packet loop passed on and dropped", () => {
  const counters = { ...readCounters(makeCounters()), sentPackets: 7, receivedPackets: 5 };
  const tunnel = { offloads: true, counters };
  assert.match(statusText({ ...report, tunnel }, NOW), /^tunnel +7 packets out, 5 in$/m);
  const dropped = { ...tunnel, counters: { ...counters, inSpoofed: 3, outNoPeer: 1 } };
  assert.match(
    statusText({ ...report, tunnel: dropped }, NOW),
    /^tunnel .* in; dropped: 1 out \(no peer\), 3 in \(spoofed\)$/m,
  );
  assert.doesNotMatch(statusText(report, NOW), /^tunnel/m);
});

Deno.test("statusText() tells the lease's times by the store's clock, where this host's is another", () => {
  const store = { ...report.store, clock: NOW };
  const text = statusText({ ...report, store }, NOW + 2 * 86_400_000);
  assert.match(text, /^lease +renewed 1 h ago, expires in 23 h/m);
});
