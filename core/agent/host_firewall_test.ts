import assert from "node:assert/strict";
import { sampleConfig, sampleUnderlay } from "../../tests/support/samples.ts";
import type { BackendType } from "../cluster/config.ts";
import type { BackendData } from "../cluster/lease.ts";
import type { FirewallDesired } from "../kernel/firewall/firewall.ts";
import {
  firewallDesired,
  guardsTunnel,
  passNeeds,
  refusedNetwork,
  unrefused,
} from "./host_firewall.ts";

const request = { bridge: "knet0", ipMasq: false, peersOnly: true };
const peers = { all: ["192.168.2.2", "192.168.2.3"] };

const desired = (
  type: BackendType,
  asked: Partial<typeof request> = {},
  host: { announced?: boolean; publicIp?: string; former?: string } = {},
) =>
  firewallDesired(
    {
      config: sampleConfig({ backend: { type } }),
      family: 4,
      nodeId: "one",
      subnet: "10.244.3.0/24",
      backendData: { vtepMac: "02:00:00:00:00:01", vni: 1 } as BackendData,
      underlay: sampleUnderlay({
        address: "192.168.2.1",
        publicIp: host.publicIp ?? "192.168.2.1",
      }),
      announced: host.announced ?? true,
      mtu: 1450,
    },
    { ...request, ...asked },
    peers,
    undefined,
    undefined,
    undefined,
    host.former,
  );

Deno.test("firewallDesired() lets none but peers send to the tunnel's port, if that was asked for", () => {
  assert.deepEqual(desired("vxlan"), {
    network: "10.244.0.0/16",
    subnet: "10.244.3.0/24",
    address: "192.168.2.1",
    ifaces: ["eth0"],
    bridge: "knet0",
    ipMasq: false,
    peersOnly: {
      ...{ port: 8472, vni: 1, device: "knet.1", user: undefined },
      ...{ peers: peers.all, own: ["192.168.2.1"] },
    },
    serviceNetwork: "172.31.0.0/16",
    services: undefined,
  });
  const { port, vni, user } = desired("udp").peersOnly!;
  assert.deepEqual([port, vni, user], [8285, undefined, Deno.uid()]);
  assert.equal(desired("vxlan", { peersOnly: false }).peersOnly, undefined);
});

Deno.test("firewallDesired() knows at which addresses peers reach this host, and where it cannot know", () => {
  const own = (host: Parameters<typeof desired>[2]) => desired("vxlan", {}, host).peersOnly!.own;
  assert.deepEqual(own({ former: "192.168.2.9" }), ["192.168.2.1", "192.168.2.9"]);
  assert.equal(own({ announced: false }), undefined, "peers have another one yet");
  assert.equal(own({ publicIp: "203.0.113.7" }), undefined, "a router translates it");
  assert.equal(desired("udp").peersOnly!.own, undefined, "its socket is at the address alone");
});

Deno.test("firewallDesired() guards no port where the backend has no tunnel", () => {
  assert.equal(desired("host-gw").peersOnly, undefined);
  for (const type of ["vxlan", "udp", "host-gw"] as const) {
    const config = sampleConfig({ backend: { type } });
    // A peer that comes is told to a set that is there, and to none that is not.
    assert.equal(guardsTunnel({ config }, request), desired(type).peersOnly !== undefined, type);
    assert.equal(guardsTunnel({ config }, { peersOnly: false }), false);
  }
});

Deno.test("refusedNetwork() is the service network, but for what this host has and leads to in it", () => {
  const network = "10.96.0.0/16";
  const all = { network, except: [] };
  assert.deepEqual(refusedNetwork(network, ["192.168.2.1/24", "fd00::1/64"]), all);
  assert.equal(unrefused(network, all), undefined);
  // A host's network, an address of its own in another, a route; what is in one of them is there already.
  const some = refusedNetwork(
    network,
    ["10.96.7.1/24", "10.96.9.1/32"],
    ["10.96.7.128/25", "10.96.200.0/22", "0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24"],
  );
  assert.deepEqual(some, { network, except: ["10.96.200.0/22", "10.96.7.0/24", "10.96.9.1/32"] });
  assert.match(unrefused(network, some) ?? "", /10\.96\.0\.0\/16: .*10\.96\.200\.0\/22/);
  // A part of the hosts' own network.
  const none = refusedNetwork("192.168.2.224/27", ["192.168.2.1/24"]);
  assert.deepEqual(none, { network: undefined, except: [] });
  assert.match(unrefused("192.168.2.224/27", none) ?? "", /not refused/);
});

Deno.test("passNeeds() lets containers to each virtual IP by itself where hosts are among them", () => {
  const services = new Map([["svc-vips", ["10.96.0.1", "10.96.0.2"]]]);
  const context = { config: sampleConfig({ serviceNetwork: "10.96.0.0/16" }) };
  const of = (more: Partial<FirewallDesired>) =>
    passNeeds(context, { ...desired("vxlan"), serviceNetwork: "10.96.0.0/16", services, ...more });
  assert.deepEqual(of({}).targets, ["10.96.0.0/16"]);
  assert.deepEqual(of({ serviceExcept: ["10.96.7.0/24"] }).targets, [
    "10.96.0.1/32",
    "10.96.0.2/32",
  ]);
  assert.deepEqual([of({ services: undefined }).targets, of({}).port], [[], 8472]);
});
