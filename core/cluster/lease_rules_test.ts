import assert from "node:assert/strict";
import { sampleConfig, sampleLease } from "../../tests/support/samples.ts";
import type { BackendType } from "./config.ts";
import type { Lease } from "./lease.ts";
import { leaseRules, whyNoPublicIp, withoutOverlaps } from "./lease_rules.ts";

const config = sampleConfig({ subnetMin: "10.244.1.0", subnetMax: "10.244.200.0" });
const fault = leaseRules(config);
const untaken = { reserved: true, agentId: "", bootId: "", backendData: {} };

Deno.test("leaseRules() let pass what knet writes", () => {
  for (
    const lease of [
      sampleLease(),
      sampleLease({ backend: "host-gw", backendData: {} }),
      sampleLease({ backend: "udp", backendData: {}, nodeName: "Host-1.example.org" }),
      sampleLease({ ...untaken, nodeId: "reserved-10.244.7.0-24", nodeName: "" }),
      sampleLease({ expires: -1 }),
    ]
  ) assert.equal(fault(lease), undefined);
  const six = leaseRules(
    sampleConfig({ network: "fd00::/48", subnetLen: 64, serviceNetwork: "fd01::/112" }),
  );
  assert.equal(
    six(sampleLease({ family: 6, subnet: "fd00:0:0:7::/64", publicIp: "2001:db8::1" })),
    undefined,
  );
});

Deno.test("leaseRules() name what no lease can be, one reason each", () => {
  const cases: [what: Partial<Lease>, reason: RegExp][] = [
    [{ subnet: "8.8.8.8/32" }, /subnet 8\.8\.8\.8\/32: it is no \/24/],
    [{ subnet: "192.168.2.1/32" }, /it is no \/24/],
    [{ subnet: "0.0.0.0/0" }, /it is no \/24/],
    [{ subnet: "10.244.0.0/16" }, /it is no \/24/],
    [{ subnet: "10.244.1.0/024" }, /it is no \/24/],
    [{ subnet: "10.244.1.0/24/24" }, /it is no \/24/],
    [{ subnet: "10.244.1.1/24" }, /host bits/],
    [{ subnet: "10.244.0.0/24" }, /not among the subnets 10\.244\.1\.0 to 10\.244\.200\.0/],
    [{ subnet: "10.244.201.0/24" }, /not among/],
    [{ subnet: "192.168.2.0/24" }, /not among/],
    [{ subnet: "010.244.1.0/24" }, /as knet writes it/],
    [{ subnet: "fd00::/24" }, /no IPv4 network/],
    [{ subnet: "x/24" }, /no IPv4 network/],
    [{ family: 6 }, /it is of IPv6, and the cluster of IPv4/],
    [{ publicIp: "127.0.0.1" }, /public IP 127\.0\.0\.1: it is a loopback/],
    [{ publicIp: "0.0.0.0" }, /unspecified/],
    [{ publicIp: "224.0.0.5" }, /multicast/],
    [{ publicIp: "255.255.255.255" }, /broadcast/],
    [{ publicIp: "241.0.0.1" }, /reserved/],
    [{ publicIp: "169.254.169.254" }, /link-local/],
    [{ publicIp: "10.244.1.1" }, /in the cluster network 10\.244\.0\.0\/16/],
    [{ publicIp: "2001:db8::1" }, /of IPv6, and the cluster network .* of IPv4/],
    [{ publicIp: "192.168.2.01" }, /no address/],
    [{ publicIp: "host.example" }, /no address/],
    [{ nodeId: "" }, /node id/],
    [{ nodeId: "a b" }, /node id/],
    [{ nodeId: "x".repeat(64) }, /node id/],
    [{ nodeName: "" }, /node name/],
    [{ nodeName: "\x1b[2J" }, /node name "\\x1b\[2J"/],
    [{ nodeName: "one\n" }, /node name "one\\n"/],
    [{ nodeName: "x".repeat(100_000) }, /node name "x{120}…"/],
    [{ bootId: "\0" }, /boot id/],
    [{ agentId: "y".repeat(65) }, /agent id/],
    [{ backend: "carrier-pigeon" as BackendType }, /backend "carrier-pigeon" is none/],
    [{ backendData: { mac: "01:00:5e:00:00:01" } }, /MAC address "01:00:5e:00:00:01"/],
    [{ backendData: { mac: "ff:ff:ff:ff:ff:ff" } }, /MAC address/],
    [{ backendData: { mac: "00:00:00:00:00:00" } }, /MAC address/],
    [{ backendData: { mac: "02-00-00-00-00-01" } }, /MAC address/],
    [{ backendData: { mac: "02:00:00:00:00:01", vni: 0 } }, /VNI 0/],
    [{ backendData: { mac: "02:00:00:00:00:01", vni: 2 ** 24 } }, /VNI 16777216/],
    [{ backendData: { mac: "02:00:00:00:00:01", vni: 1.5 } }, /VNI 1\.5/],
    [{ acquired: 9e15 }, /"acquired" lies behind/],
    [{ renewed: Infinity }, /"renewed" lies behind/],
    [{ expires: NaN }, /"expires" lies behind/],
  ];
  for (const [what, reason] of cases) {
    assert.match(fault(sampleLease(what)) ?? "", reason, JSON.stringify(what).slice(0, 100));
  }
});

Deno.test("leaseRules() judge without a configuration what stands for itself", () => {
  const alone = leaseRules(undefined);
  assert.equal(alone(sampleLease({ subnet: "10.9.1.0/24" })), undefined);
  assert.match(alone(sampleLease({ publicIp: "127.0.0.1" })) ?? "", /loopback/);
});

Deno.test("whyNoPublicIp() lets an address of the underlay pass", () => {
  assert.equal(whyNoPublicIp("192.168.2.9", config), undefined);
  assert.equal(whyNoPublicIp("100.64.0.1", config), undefined);
});

Deno.test("withoutOverlaps() keeps the older of two with one subnet, and a reservation before both", () => {
  const first = sampleLease({ nodeId: "a", acquired: 20 });
  const second = sampleLease({ nodeId: "b", acquired: 10 });
  const other = sampleLease({ nodeId: "c", subnet: "10.244.2.0/24" });
  const ids = (leases: readonly Lease[]) => leases.map(({ nodeId }) => nodeId);
  const { kept, out } = withoutOverlaps([first, other, second]);
  assert.deepEqual([ids(kept), ids(out)], [["c", "b"], ["a"]]);
  const held = sampleLease({ ...untaken, nodeId: "r", acquired: 99 });
  assert.deepEqual(ids(withoutOverlaps([first, held, second]).kept), ["r"]);
  assert.deepEqual(ids(withoutOverlaps([other, first]).kept), ["c", "a"]);
});
