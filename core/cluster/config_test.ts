import assert from "node:assert/strict";
import { configFromFlannel, differences, makeClusterConfig } from "./config.ts";
import { KnetError } from "../base/error.ts";

function refused(run: () => unknown, pattern: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof KnetError, String(error));
    assert.equal(error.exitCode, 2);
    assert.match(error.message, pattern);
    assert.ok(error.remedy);
    return true;
  });
}

Deno.test("makeClusterConfig() has the documented defaults", () => {
  assert.deepEqual(makeClusterConfig({}), {
    network: "10.244.0.0/16",
    subnetLen: 24,
    subnetMin: "10.244.0.0",
    subnetMax: "10.244.255.0",
    backend: { type: "vxlan", vni: 1, port: 8472, directRouting: false },
    serviceNetwork: "10.96.0.0/16",
    leaseTtl: 86_400,
  });
  assert.deepEqual(makeClusterConfig({ backend: { type: "udp" } }).backend, {
    type: "udp",
    port: 8285,
  });
  assert.deepEqual(makeClusterConfig({ backend: { type: "host-gw", mtu: 9000 } }).backend, {
    type: "host-gw",
    mtu: 9000,
  });
});

Deno.test("makeClusterConfig() fits the subnets to a small network, and to IPv6", () => {
  assert.equal(makeClusterConfig({ network: "10.9.0.0/24" }).subnetLen, 26);
  const six = makeClusterConfig({ network: "FD00:0::/48", subnetLen: 64 });
  assert.equal(six.network, "fd00::/48");
  assert.equal(six.subnetMax, "fd00:0:0:ffff::");
});

Deno.test("makeClusterConfig() takes bounds as subnets or their addresses", () => {
  const { subnetMin, subnetMax } = makeClusterConfig({
    subnetMin: "10.244.3.0",
    subnetMax: "10.244.9.0/24",
  });
  assert.deepEqual([subnetMin, subnetMax], ["10.244.3.0", "10.244.9.0"]);
});

Deno.test("makeClusterConfig() refuses what cannot be, each with its own message", () => {
  const network = (network: string) => () => makeClusterConfig({ network });
  refused(network("10.244.0.0"), /it is not ADDRESS\/LENGTH/);
  refused(network("10.244.1.0/16"), /host bits.*10\.244\.0\.0\/16/);
  refused(network("0.0.0.0/4"), /not between \/8 and \/28/);
  refused(network("10.0.0.0/29"), /not between \/8 and \/28/);
  refused(network("256.0.0.0/8"), /neither IPv4 nor IPv6/);
  refused(() => makeClusterConfig({ subnetLen: 17 }), /not between 18 and 30/);
  refused(() => makeClusterConfig({ subnetLen: 31 }), /not between 18 and 30/);
  refused(() => makeClusterConfig({ subnetMin: "10.245.0.0" }), /--subnet-min "10\.245\.0\.0"/);
  refused(() => makeClusterConfig({ subnetMin: "10.244.0.128" }), /host bits/);
  refused(() => makeClusterConfig({ subnetMax: "10.244.8.0/25" }), /it is no \/24 subnet/);
  refused(
    () => makeClusterConfig({ subnetMin: "10.244.9.0", subnetMax: "10.244.8.0" }),
    /the first is above the last/,
  );
  refused(() => makeClusterConfig({ network: "10.96.0.0/12" }), /overlaps the network/);
  refused(() => makeClusterConfig({ leaseTtl: 0 }), /lease TTL 0/);
  refused(() => makeClusterConfig({ leaseTtl: NaN }), /lease TTL NaN/);
  const backend = (more: object) => () =>
    makeClusterConfig({ backend: { type: "vxlan", ...more } });
  for (const vni of [0, 2 ** 24, 1.5]) refused(backend({ vni }), /VNI .*between 1 and 16777215/);
  for (const port of [0, 65536, 70000]) refused(backend({ port }), /port .*between 1 and 65535/);
  for (const mtu of [0, 575, 65536]) refused(backend({ mtu }), /MTU .*between 576 and 65535/);
  refused(backend({ type: "wireguard" }), /there is no such backend/);
});

Deno.test("makeClusterConfig() refuses networks that no host can send to, and spans that are no dates", () => {
  for (
    const [network, what] of [
      ["127.0.0.0/8", /network "127\.0\.0\.0\/8": it overlaps 127\.0\.0\.0\/8, loopback/],
      ["224.0.0.0/8", /multicast/],
      ["240.0.0.0/8", /reserved/],
      ["169.254.0.0/16", /link-local/],
      ["0.0.0.0/8", /unspecified/],
      ["fe80::/48", /link-local/],
      ["ff02::/48", /multicast/],
    ] as const
  ) {
    refused(() => makeClusterConfig({ network }), what);
    refused(() => makeClusterConfig({ serviceNetwork: network }), what);
  }
  refused(() => makeClusterConfig({ serviceNetwork: "0.0.0.0/0" }), /service network.*below \/8/);
  refused(() => makeClusterConfig({ serviceNetwork: "10.244.7.0/24" }), /overlaps the network/);
  for (const leaseTtl of [-1, 1e300, Infinity]) {
    refused(() => makeClusterConfig({ leaseTtl }), /lease TTL/);
  }
});

Deno.test("differences() shows both values, and nothing where the request says nothing", () => {
  const config = makeClusterConfig({});
  assert.deepEqual(differences(config, {}), []);
  assert.deepEqual(differences(config, config), []);
  assert.deepEqual(differences(config, { network: "10.9.0.0/16", subnetLen: 25 }), [
    "network is 10.244.0.0/16, not 10.9.0.0/16",
    "subnetLen is 24, not 25",
  ]);
  assert.deepEqual(differences(config, { backend: { type: "vxlan", vni: 7, mtu: 1400 } }), [
    "vni is 1, not 7",
    "mtu is not set, not 1400",
  ]);
  assert.deepEqual(differences(config, { backend: { type: "host-gw", mtu: 1400 } }), [
    "backend is vxlan, not host-gw",
  ]);
});

Deno.test("differences() knows one network written in two ways", () => {
  const request = {
    network: "FD00:0::/48",
    subnetLen: 64,
    subnetMin: "fd00:0:0:1::/64",
    subnetMax: "FD00:0:0:FF::",
  };
  assert.deepEqual(differences(makeClusterConfig(request), request), []);
  assert.deepEqual(differences(makeClusterConfig({}), { network: "nonsense" }), [
    "network is 10.244.0.0/16, not nonsense",
  ]);
});

Deno.test("configFromFlannel() takes a net-conf.json as it is, the first subnet skipped", () => {
  const config = configFromFlannel(
    `{"Network": "10.5.0.0/16", "SubnetLen": 25, "Backend": {"Type": "vxlan", "VNI": 7, "Port": 4789, "DirectRouting": true}}`,
  );
  assert.equal(config.subnetMin, "10.5.0.128");
  assert.equal(config.subnetMax, "10.5.255.128");
  assert.deepEqual(config.backend, { type: "vxlan", vni: 7, port: 4789, directRouting: true });
  const bounds = configFromFlannel(
    `{"Network": "10.5.0.0/16", "SubnetMin": "10.5.8.0", "SubnetMax": "10.5.9.0", "Backend": {"Type": "host-gw"}}`,
  );
  assert.deepEqual([bounds.subnetMin, bounds.subnetMax], ["10.5.8.0", "10.5.9.0"]);
  assert.equal(configFromFlannel(`{"Network": "10.5.0.0/16"}`).backend.type, "udp");
});

Deno.test("configFromFlannel() refuses what is no net-conf.json", () => {
  refused(() => configFromFlannel("{"), /Cannot read flannel's configuration/);
  for (const text of ["{}", "null", "[]", "1", '"x"']) {
    refused(() => configFromFlannel(text), /it has no Network/);
  }
  refused(
    () => configFromFlannel(`{"Network": "10.5.0.0/16", "Backend": {"Type": "wireguard"}}`),
    /there is no such backend/,
  );
});
