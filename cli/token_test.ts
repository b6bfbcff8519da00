import assert from "node:assert/strict";
import { KnetError } from "../core/base/error.ts";
import { nodeIdOf } from "./token.ts";

const HOSTS = [
  { nodeId: "6fd1", nodeName: "host-1" },
  { nodeId: "6203", nodeName: "host-2" },
  { nodeId: "e75f", nodeName: "host-2" },
  // Its name is another one's id.
  { nodeId: "host-9", nodeName: "6fd1" },
];

Deno.test("nodeIdOf() finds a host by its name, takes an id before a name, and leaves other words as they are", () => {
  assert.equal(nodeIdOf("host-1", HOSTS), "6fd1");
  assert.equal(nodeIdOf("6fd1", HOSTS), "6fd1");
  assert.equal(nodeIdOf("host-9", HOSTS), "host-9");
  assert.equal(nodeIdOf("6f1d2c3b4a59", HOSTS), "6f1d2c3b4a59");
  assert.equal(nodeIdOf("host-1", []), "host-1");
  assert.throws(
    () => nodeIdOf("host-2", HOSTS),
    (error) =>
      error instanceof KnetError && error.exitCode === 4 && /6203, e75f/.test(error.message),
  );
});
