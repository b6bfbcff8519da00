import assert from "node:assert/strict";
import { type ClusterConfig, makeClusterConfig } from "./config.ts";
import { configContradiction, configFault, type HeldSubnet } from "./config_fault.ts";

const config = makeClusterConfig({});
const held = (subnet: string, backend: HeldSubnet["backend"] = "vxlan"): HeldSubnet => ({
  subnet,
  backend,
  nodeName: "one",
});

Deno.test("configFault() finds nothing in what init writes", () => {
  for (
    const request of [
      {},
      { network: "172.16.0.0/12", subnetLen: 26 },
      { backend: { type: "udp" as const, port: 8286, mtu: 1400 } },
      { backend: { type: "host-gw" as const } },
      { network: "fd00:10::/56", serviceNetwork: "fd00:20::/112" },
    ]
  ) assert.equal(configFault(makeClusterConfig(request)), undefined);
  // A newer knet may say more.
  assert.equal(configFault({ ...config, more: 1 } as ClusterConfig), undefined);
});

const WRONG: Record<string, [change: object, state: RegExp]> = {
  "loopback addresses": [{ network: "127.0.0.0/8" }, /127\.0\.0\.0\/8/],
  "multicast addresses": [{ network: "224.0.0.0/8" }, /multicast/],
  "everything": [{ network: "0.0.0.0/0" }, /\/0/],
  "a network with host bits": [{ network: "10.244.0.1/16" }, /10\.244\.0/],
  "no network": [{ network: "\x1b[2Jhere" }, /\\x1b\[2Jhere/],
  "subnets of one address": [{ subnetLen: 32 }, /subnet length 32/],
  "subnets of a half": [{ subnetLen: 24.5 }, /subnet length 24\.5/],
  "bounds outside": [{ subnetMin: "10.245.0.0" }, /subnet-min/],
  "bounds in the wrong order": [
    { subnetMin: "10.244.9.0", subnetMax: "10.244.1.0" },
    /the first is above the last/,
  ],
  "port 0": [{ backend: { ...config.backend, port: 0 } }, /port 0/],
  "VNI 0": [{ backend: { ...config.backend, vni: 0 } }, /VNI 0/],
  "an MTU of nothing": [{ backend: { ...config.backend, mtu: 1 } }, /MTU 1/],
  "services among containers": [{ serviceNetwork: "10.244.0.0/24" }, /overlaps the network/],
  "services that are loopback": [{ serviceNetwork: "127.1.0.0/16" }, /loopback/],
  "leases of no time": [{ leaseTtl: 0 }, /lease TTL 0/],
  "leases of negative time": [{ leaseTtl: -5 }, /lease TTL -5/],
  "leases of a part of a second": [{ leaseTtl: 2.5 }, /whole number of seconds/],
  "leases for ever": [{ leaseTtl: 1e300 }, /ten years/],
};

for (const [what, [change, state]] of Object.entries(WRONG)) {
  Deno.test(`configFault() refuses ${what}`, () => {
    const fault = configFault({ ...config, ...change });
    assert.match(fault ?? "nothing", state);
    assert.doesNotMatch(fault!, /Cannot use/);
  });
}

Deno.test("configContradiction() is one if no host's subnet fits", () => {
  const moved = makeClusterConfig({ network: "10.50.0.0/16" });
  assert.match(
    configContradiction(moved, [held("10.244.1.0/24"), held("10.244.2.0/24")]) ?? "",
    /subnets of 10\.50\.0\.0\/16, and hosts hold others, such as "one" 10\.244\.1\.0\/24/,
  );
  const narrower = makeClusterConfig({ subnetLen: 26 });
  assert.match(configContradiction(narrower, [held("10.244.1.0/24")]) ?? "", /\/26 subnets/);
  const six = makeClusterConfig({ network: "fd00::/56", serviceNetwork: "fd00:9::/112" });
  assert.match(configContradiction(six, [held("10.244.1.0/24")]) ?? "", /hold others/);
});

Deno.test("configContradiction() is one if no host has that backend", () => {
  const other = makeClusterConfig({ backend: { type: "host-gw" } });
  assert.match(configContradiction(other, [held("10.244.1.0/24")]) ?? "", /backend is host-gw/);
  assert.equal(configContradiction(other, [held("10.244.1.0/24", "host-gw")]), undefined);
});

Deno.test("configContradiction() takes single leases that do not fit for what is wrong", () => {
  assert.equal(configContradiction(config, []), undefined);
  assert.equal(
    configContradiction(config, [held("10.50.0.0/24"), held("10.244.1.0/24")]),
    undefined,
  );
  for (const subnet of ["8.8.8.8/32", "0.0.0.0/0", "nowhere", "127.0.0.0/24"]) {
    assert.equal(configContradiction(config, [held(subnet)]), undefined, subnet);
  }
});
