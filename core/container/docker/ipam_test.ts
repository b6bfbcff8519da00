import assert from "node:assert/strict";
import { writeNodeState } from "../../cluster/node_state.ts";
import { readHeld, writeHeld } from "../held.ts";
import { answerIpam, type IpamHost } from "./ipam.ts";
import { networkRequest, specText } from "./network.ts";

const state = {
  nodeId: "a",
  nodeName: "a",
  network: "10.244.0.0/16",
  serviceNetwork: "10.96.0.0/16",
  subnet: "10.244.3.0/24",
  gateway: "10.244.3.1",
  mtu: 1450,
  bridge: "knet0",
  ipMasq: false,
  backend: "vxlan" as const,
  publicIp: "192.0.2.1",
  iface: "eth0",
};

function host(): IpamHost & Disposable {
  const folder = Deno.makeTempDirSync();
  writeNodeState(folder, state);
  return {
    stateDir: folder,
    dataDir: folder,
    bootId: "a",
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

Deno.test("answerIpam() offers one pool, this host's subnet, and refuses others by Docker's error field", async () => {
  using at = host();
  const ask = (path: string, asked: unknown = {}) => answerIpam(at, path, JSON.stringify(asked));
  assert.deepEqual(await answerIpam(at, "/Plugin.Activate", ""), { Implements: ["IpamDriver"] });
  const pool = {
    PoolID: "knet/10.244.3.0/24",
    Pool: "10.244.3.0/24",
    Data: { "com.docker.network.gateway": "10.244.3.1/24" },
  };
  assert.deepEqual(await ask("/IpamDriver.RequestPool", { Pool: "", V6: false }), pool);
  assert.deepEqual(await ask("/IpamDriver.RequestPool", { Pool: "10.244.3.0/24" }), pool);
  for (const asked of [{ Pool: "172.17.0.0/16" }, { V6: true }, { SubPool: "10.244.3.0/28" }]) {
    const { Error: fault } = await ask("/IpamDriver.RequestPool", asked) as { Error: string };
    assert.match(fault, /^Cannot give Docker the pool .*this host has 10\.244\.3\.0\/24 \(Leave/);
  }
  assert.equal(await ask("/NetworkDriver.Join"), undefined);
  const { Error: fault } = await answerIpam(at, "/IpamDriver.RequestPool", "{") as {
    Error: string;
  };
  assert.match(fault, /JSON/);
});

Deno.test("answerIpam() gives the bridge's address as the gateway and no other", async () => {
  using at = host();
  const ask = (Address: string) =>
    answerIpam(
      at,
      "/IpamDriver.RequestAddress",
      JSON.stringify({
        PoolID: "knet/10.244.3.0/24",
        Address,
        Options: { RequestAddressType: "com.docker.network.gateway" },
      }),
    );
  const gateway = { Address: "10.244.3.1/24", Data: {} };
  assert.deepEqual(await ask(""), gateway);
  assert.deepEqual(await ask("10.244.3.1"), gateway);
  assert.match(JSON.stringify(await ask("10.244.3.9")), /Cannot make 10\.244\.3\.9 Docker's/);
  assert.deepEqual(readHeld({ dataDir: at.dataDir, bootId: "a" }), []);
});

Deno.test("answerIpam() tells a network of a subnet that this host had before, and a host that has not joined", async () => {
  using at = host();
  const ask = (place: IpamHost) =>
    answerIpam(
      place,
      "/IpamDriver.RequestAddress",
      JSON.stringify({ PoolID: "knet/10.244.9.0/24", Address: "" }),
    );
  assert.match(JSON.stringify(await ask(at)), /has 10\.244\.3\.0\/24 now.*docker network rm knet/);
  const nowhere = { ...at, stateDir: `${at.stateDir}/none` };
  assert.match(JSON.stringify(await ask(nowhere)), /has not joined/);
});

Deno.test("readHeld() forgets what an earlier boot held, and stops at what knet did not write", () => {
  using at = host();
  const { dataDir } = at;
  const held = [{ address: "10.244.3.2", runtime: "docker" }];
  writeHeld({ dataDir, bootId: "a" }, held);
  assert.deepEqual(readHeld({ dataDir, bootId: "a" }), held);
  assert.deepEqual(readHeld({ dataDir, bootId: "b" }), []);
  Deno.writeTextFileSync(`${dataDir}/held.json`, "{}");
  assert.throws(() => readHeld({ dataDir, bootId: "a" }), /is not what knet wrote/);
});

Deno.test("networkRequest() is of knet's bridge, without Docker's masquerading and open to other hosts", () => {
  const request = networkRequest("knet", state);
  assert.deepEqual(request["IPAM"], {
    Driver: "knet",
    Config: [{ Subnet: "10.244.3.0/24", Gateway: "10.244.3.1" }],
  });
  const options = request["Options"] as Record<string, string>;
  assert.equal(options["com.docker.network.bridge.name"], "knet0");
  assert.equal(options["com.docker.network.bridge.enable_ip_masquerade"], "false");
  assert.equal(options["com.docker.network.driver.mtu"], "1450");
  assert.equal(options["com.docker.network.bridge.gateway_mode_ipv4"], "nat-unprotected");
  assert.equal(specText("/run/knet"), "unix:///run/knet/docker.sock\n");
});
