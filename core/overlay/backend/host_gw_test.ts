import assert from "node:assert/strict";
import { type BackendConfig, makeClusterConfig } from "../../cluster/config.ts";
import type { Lease } from "../../cluster/lease.ts";
import type { FdbEntry } from "../../../ffi/rtnl/fdb.ts";
import type { PeerPath } from "./backend.ts";
import { type BackendContext } from "./backend.ts";
import { overlayMtu } from "./backends.ts";
import { hostGw } from "./host_gw.ts";
import { vxlan } from "./vxlan.ts";

function context(backend: BackendConfig): BackendContext {
  return {
    config: { ...makeClusterConfig({}), backend },
    family: 4,
    nodeId: "a",
    subnet: "10.244.0.0/24",
    backendData: { vni: 1, mac: "02:00:00:00:00:01" },
    underlay: {
      ifindex: 2,
      name: "eth0",
      address: "192.168.2.101",
      prefixLength: 24,
      publicIp: "192.168.2.101",
      nearby: [{ prefix: "192.168.2.0/24", direct: true }],
      mtu: 1500,
    },
    announced: true,
    mtu: 1500,
  };
}

const direct = { type: "vxlan", vni: 1, port: 8472, directRouting: true } as const;

function lease(publicIp: string, more: Partial<Lease> = {}): Lease {
  return {
    nodeId: "b",
    family: 4,
    nodeName: "b",
    subnet: "10.244.1.0/24",
    publicIp,
    backend: "host-gw",
    backendData: { vni: 1, mac: "02:00:00:00:00:02" },
    bootId: "boot",
    agentId: "agent",
    acquired: 0,
    renewed: 0,
    expires: 0,
    reserved: false,
    revision: 1,
    ...more,
  };
}

/** What a path wants of the kernel, kind by kind. */
const entriesOf = ({ entries }: PeerPath) => entries.map(({ kind, value }) => [kind.name, value]);

const plainRoute = {
  family: 4,
  dst: "10.244.1.0/24",
  gateway: "192.168.2.102",
  ifindex: 2,
  onlink: false,
  protocol: 107,
  scope: 0,
  table: 254,
  type: 1,
  flags: 0,
};

Deno.test("hostGw.peer() is one plain route through the underlay to a peer on the link", () => {
  const path = hostGw.peer(context({ type: "host-gw" }), 0, lease("192.168.2.102"));
  assert.equal(path.via, "direct");
  assert.deepEqual(entriesOf(path), [["route", plainRoute]]);
});

Deno.test("hostGw.peer() warns of a peer that is not on the link, naming address, link and remedy", () => {
  const path = hostGw.peer(context({ type: "host-gw" }), 0, lease("192.168.3.103"));
  assert.deepEqual([path.via, path.entries], ["none", []]);
  assert.match(path.warning ?? "", /192\.168\.3\.103.* eth0 \(192\.168\.2\.0\/24\).*vxlan/);
});

Deno.test("hostGw.peer() has nothing to say of a reservation that nobody took", () => {
  const path = hostGw.peer(
    context({ type: "host-gw" }),
    0,
    lease("192.168.3.103", { agentId: "" }),
  );
  assert.deepEqual(path, { via: "none", entries: [] });
});

Deno.test("hostGw leaves packets as long as the underlay takes them", () => {
  const { config, underlay } = context({ type: "host-gw" });
  assert.equal(overlayMtu(config, underlay, 4), 1500);
});

Deno.test("vxlan.peer() with direct routing tunnels only to peers off the link", () => {
  const near = vxlan.peer(context(direct), 9, lease("192.168.2.102"));
  assert.equal(near.via, "direct");
  assert.deepEqual(entriesOf(near), [["route", plainRoute]]);
  const far = vxlan.peer(context(direct), 9, lease("192.168.3.103"));
  assert.equal(far.via, "vxlan");
  const [entry] = far.entries;
  assert.equal(entry?.kind.name, "fdb");
  assert.equal((entry?.value as FdbEntry).dst, "192.168.3.103");
  const off = vxlan.peer(context({ ...direct, directRouting: false }), 9, lease("192.168.2.102"));
  assert.equal(off.via, "vxlan");
});
