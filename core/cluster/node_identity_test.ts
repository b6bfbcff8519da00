import assert from "node:assert/strict";
import { join } from "node:path";
import { KnetError } from "../base/error.ts";
import { bootId, nodeIdentity, nodeIdOfMachine, storedNodeId } from "./node_identity.ts";
import { checkNodeWord } from "./node_word.ts";

function inFolder(name: string, run: (dataDir: string) => void): void {
  Deno.test(name, () => {
    const folder = Deno.makeTempDirSync();
    try {
      run(join(folder, "data"));
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

Deno.test("checkNodeWord() takes host names and UUIDs, and refuses what could confuse a reader", () => {
  for (const word of ["a", "node-1.example.org", "A_b", "x".repeat(63)]) {
    assert.equal(checkNodeWord("node id", word), word);
  }
  for (const word of ["", "-a", ".a", "a b", "a\n", "a/b", "ä", "x".repeat(64), "../a"]) {
    assert.throws(() => checkNodeWord("node name", word), (error) => {
      assert.ok(error instanceof KnetError && error.exitCode === 2);
      return true;
    });
  }
});

Deno.test("nodeIdOfMachine() does not give the machine-id away", () => {
  const machineId = "0123456789abcdef0123456789abcdef";
  const id = nodeIdOfMachine(`${machineId}\n`);
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.equal(id, nodeIdOfMachine(machineId));
  assert.notEqual(id, machineId);
  assert.notEqual(id, nodeIdOfMachine("1123456789abcdef0123456789abcdef"));
});

Deno.test("bootId() is the kernel's", () => {
  assert.equal(bootId(), Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim());
});

inFolder("nodeIdentity() stays the same once it was written down", (dataDir) => {
  assert.equal(storedNodeId(dataDir), undefined);
  const first = nodeIdentity({ nodeId: "n1", nodeName: "one", dataDir });
  assert.deepEqual([first.nodeId, first.nodeName, first.bootId], ["n1", "one", bootId()]);
  const second = nodeIdentity({ dataDir, nodeName: "other" });
  assert.deepEqual(second, { ...first, nodeName: "other" });
  assert.equal(storedNodeId(dataDir), "n1");
  assert.equal(nodeIdentity({ nodeId: "n2", dataDir }).agentId, first.agentId);
  assert.equal(storedNodeId(dataDir), "n2", "a new --node-id counts from then on");
  assert.equal(Deno.statSync(dataDir).mode! & 0o777, 0o700);
});

inFolder("nodeIdentity() refuses a malformed id and writes nothing", (dataDir) => {
  assert.throws(() => nodeIdentity({ nodeId: "a b", dataDir }), KnetError);
  assert.equal(storedNodeId(dataDir), undefined);
});
