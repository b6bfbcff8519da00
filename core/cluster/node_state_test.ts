import assert from "node:assert/strict";
import { join } from "node:path";
import { sampleState } from "../../tests/support/samples.ts";
import {
  hostWays,
  overlayWays,
  readNodeState,
  removeNodeState,
  subnetEnv,
  writeNodeState,
} from "./node_state.ts";

Deno.test("subnetEnv() has knet's four names and flannel's", () => {
  assert.equal(
    subnetEnv(sampleState()),
    "KNET_NETWORK=10.244.0.0/16\nKNET_SUBNET=10.244.3.1/24\nKNET_MTU=1450\nKNET_IPMASQ=true\n" +
      "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  );
});

Deno.test("writeNodeState() writes both files, and only when they have something new to say", () => {
  const folder = Deno.makeTempDirSync();
  try {
    assert.equal(readNodeState(folder), undefined);
    writeNodeState(folder, sampleState());
    assert.deepEqual(readNodeState(folder), sampleState());
    const inode = () => Deno.statSync(join(folder, "subnet.env")).ino;
    const before = inode();
    writeNodeState(folder, sampleState());
    assert.equal(inode(), before);
    writeNodeState(folder, sampleState({ ipMasq: false }));
    assert.match(Deno.readTextFileSync(join(folder, "subnet.env")), /FLANNEL_IPMASQ=false/);
    for (const text of ["{", "null", "{}", JSON.stringify({ ...sampleState(), mtu: "1450" })]) {
      Deno.writeTextFileSync(join(folder, "node.json"), text);
      assert.equal(readNodeState(folder), undefined, text);
    }
    const newer = { ...sampleState(), colour: "red" };
    Deno.writeTextFileSync(join(folder, "node.json"), JSON.stringify(newer));
    assert.deepEqual(readNodeState(folder), newer);
    removeNodeState(folder);
    removeNodeState(folder);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("overlayWays() are the tunnel's device, or without one the hosts' ways, and never an lo that only has the address", () => {
  const { device, ...direct } = sampleState({ iface: "lo", ways: ["eth0", "eth1"] });
  assert.deepEqual(overlayWays({ ...direct, device: device! }), ["knet.1"]);
  assert.deepEqual(overlayWays(direct), ["eth0", "eth1"]);
  assert.deepEqual(hostWays({ ...direct, device: "knet.1" } as typeof direct), ["eth0", "eth1"]);
  const { ways: _, ...unknown } = direct;
  assert.deepEqual(overlayWays(unknown), []);
  assert.deepEqual(overlayWays({ ...unknown, iface: "bond0" }), ["bond0"]);
});
