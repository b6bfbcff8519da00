import assert from "node:assert/strict";
import { KnetError } from "../../base/error.ts";
import { defineNetwork, readNetavark, readTeardown } from "./request.ts";

const asked = {
  container_id: "752947ff",
  container_name: "web",
  port_mappings: [
    { container_port: 80, host_ip: "", host_port: 8080, protocol: "tcp", range: 1 },
    { container_port: 53, host_ip: "127.0.0.1", host_port: 5300, protocol: "udp,tcp", range: 2 },
  ],
  network: { name: "knet", driver: "knet", id: "2f25", dns_enabled: false },
  network_options: {
    aliases: ["752947ff"],
    interface_name: "eth0",
    static_ips: ["10.244.0.50"],
    static_mac: "AA:BB:CC:DD:AA:00",
  },
};

function refused(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof KnetError, `${error}`);
    assert.ok(error.remedy, "a remedy");
    return `${error.message} (${error.remedy})`;
  }
  return assert.fail("it was taken");
}

Deno.test("readNetavark() reads a container with its ports, ranges and several protocols counted out", () => {
  assert.deepEqual(readNetavark(JSON.stringify(asked)), {
    containerId: "752947ff",
    network: "knet",
    ifname: "eth0",
    name: "web",
    ip: "10.244.0.50",
    mac: "aa:bb:cc:dd:aa:00",
    ports: [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      { hostPort: 5300, containerPort: 53, protocol: "udp", hostIp: "127.0.0.1" },
      { hostPort: 5301, containerPort: 54, protocol: "udp", hostIp: "127.0.0.1" },
      { hostPort: 5300, containerPort: 53, protocol: "tcp", hostIp: "127.0.0.1" },
      { hostPort: 5301, containerPort: 54, protocol: "tcp", hostIp: "127.0.0.1" },
    ],
  });
  const bare = { ...asked, port_mappings: null, network_options: { interface_name: "eth1" } };
  assert.deepEqual(readNetavark(JSON.stringify(bare)), {
    containerId: "752947ff",
    network: "knet",
    ifname: "eth1",
    name: "web",
    ports: [],
  });
});

Deno.test("readNetavark() refuses what no container can have, and what is not netavark's, with a remedy", () => {
  const options = (more: object) =>
    JSON.stringify({ ...asked, network_options: { ...asked.network_options, ...more } });
  const ports = (more: object) =>
    JSON.stringify({
      ...asked,
      port_mappings: [{ ...asked.port_mappings[1], protocol: "tcp,udp" }, {
        ...asked.port_mappings[0],
        ...more,
      }],
    });
  const cases: [string, RegExp][] = [
    [options({ static_ips: ["10.244.0.5", "10.244.0.6"] }), /2 addresses/],
    [options({ static_ips: ["10.244.0"] }), /10\.244\.0/],
    [options({ static_mac: "01:00:00:00:00:00" }), /single interface/],
    [ports({ protocol: "dccp" }), /"dccp" is no protocol/],
    [ports({ host_port: 65535, range: 2 }), /not between 1 and 65535/],
    [ports({ host_ip: "localhost" }), /"localhost" is no address/],
    [ports({ host_port: 5300, protocol: "udp", container_port: 1 }), /lead to port 53 as well/],
    [ports({ range: 5000 }), /at most 4096/],
    [ports({ host_port: 0 }), /Cannot understand podman/],
    ["{}", /Cannot understand podman/],
    ["", /Cannot understand podman/],
    [JSON.stringify({ ...asked, container_id: "" }), /Cannot understand podman/],
  ];
  for (const [text, pattern] of cases) assert.match(refused(() => readNetavark(text)), pattern);
});

Deno.test("readTeardown() lets go what was asked for in a way that makes no sense", () => {
  const odd = {
    ...asked,
    port_mappings: [{ container_port: 0, host_port: -1, protocol: "dccp" }],
    network_options: { interface_name: "eth0", static_ips: ["none", "nor this"], static_mac: "x" },
  };
  const gone = { containerId: "752947ff", network: "knet", ifname: "eth0" };
  assert.deepEqual(readTeardown(JSON.stringify(odd)), gone);
  assert.match(refused(() => readTeardown("{}")), /Cannot understand podman/);
});

Deno.test("defineNetwork() leaves addresses to knet and refuses what knet's network has not", () => {
  const state = { subnet: "10.244.3.0/24" };
  const network = { name: "net1", id: "2f25", driver: "knet", dns_enabled: true, options: null };
  const define = (more: object) => defineNetwork(JSON.stringify({ ...network, ...more }), state);
  const made = { ...network, dns_enabled: false, ipam_options: { driver: "none" } };
  assert.deepEqual(define({}), made);
  assert.deepEqual(define({ subnets: [{ subnet: "10.244.3.0/24" }] }), made);
  assert.deepEqual(define({ subnets: null }), made);
  const foreign = { subnets: [{ subnet: "10.89.0.0/24", gateway: "10.89.0.1" }] };
  assert.match(refused(() => define(foreign)), /this host's subnet is 10\.244\.3\.0\/24 \(Leave/);
  const range = { subnets: [{ subnet: "10.244.3.0/24", lease_range: { start_ip: "10.244.3.9" } }] };
  assert.match(refused(() => define(range)), /--ip-range/);
  assert.match(refused(() => define({ ipv6_enabled: true })), /--ipv6/);
  assert.match(refused(() => define({ internal: true })), /--internal/);
});

Deno.test("readNetavark() takes limits of bandwidth from the network's options, and rather from the container's own", () => {
  const bandwidthOf = (network: unknown, own?: unknown) =>
    readNetavark(JSON.stringify({
      ...asked,
      network: { name: "knet", options: network },
      network_options: { interface_name: "eth0", options: own },
    })).bandwidth;
  assert.equal(bandwidthOf(null, null), undefined);
  assert.equal(bandwidthOf({ mtu: "1400", isolate: true }), undefined);
  assert.deepEqual(bandwidthOf({ ingressRate: "10M", egressRate: "1M" }, { egressRate: "2M" }), {
    ingress: { rate: 10_000_000, burst: 1_000_000 },
    egress: { rate: 2_000_000, burst: 200_000 },
  });
  assert.equal(bandwidthOf({ ingressRate: "10M" }, { ingressRate: "0" }), undefined);
  assert.match(refused(() => bandwidthOf({ ingressRate: "fast" })), /"fast" is no number of bits/);
  assert.match(refused(() => bandwidthOf({ egressRate: ["1"], egressBurst: {} })), /no number/);
  // What makes no sense is said when the network is made, too.
  const network = { name: "slow", options: { egressBurst: "10M" } };
  assert.match(
    refused(() => defineNetwork(JSON.stringify(network), { subnet: "10.244.0.0/24" })),
    /egressBurst needs egressRate/,
  );
});
