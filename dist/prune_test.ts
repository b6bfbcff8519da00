import assert from "node:assert/strict";
import { pruneImports, pruneLock } from "./prune.ts";

Deno.test("pruneLock() keeps what is reached without the packages of the tests", () => {
  const lock = {
    version: "5",
    specifiers: { "npm:@scope/a@^1.0.0": "1.2.0", "npm:tester@2": "2.0.0", "npm:b@3": "3.0.0" },
    npm: {
      "@scope/a@1.2.0": { dependencies: ["shared"] },
      "b@3.0.0": {},
      "only-tester@1.0.0": {},
      "shared@1.0.0": {},
      "tester@2.0.0": { dependencies: ["only-tester", "shared"] },
    },
  };
  const pruned = JSON.parse(pruneLock(JSON.stringify(lock), ["tester"]));
  assert.deepEqual(pruned.specifiers, { "npm:@scope/a@^1.0.0": "1.2.0", "npm:b@3": "3.0.0" });
  assert.deepEqual(Object.keys(pruned.npm), ["@scope/a@1.2.0", "b@3.0.0", "shared@1.0.0"]);
  assert.equal(pruned.version, "5");
});

Deno.test("pruneLock() forgets that the tree asks for what is left out", () => {
  const lock = {
    version: "5",
    specifiers: { "npm:b@3": "3.0.0", "npm:tester@2": "2.0.0" },
    npm: { "b@3.0.0": {}, "tester@2.0.0": {} },
    workspace: { dependencies: ["npm:b@3", "npm:tester@2"] },
  };
  const pruned = JSON.parse(pruneLock(JSON.stringify(lock), ["tester"]));
  assert.deepEqual(pruned.workspace, { dependencies: ["npm:b@3"] });
});

Deno.test("pruneImports() keeps the import map without the packages of the tests", () => {
  const settings = {
    name: "@x/y",
    tasks: { test: "deno test" },
    imports: { "b": "npm:b@3", "b/sub": "npm:b@3/sub", "tester": "npm:tester@2" },
  };
  assert.deepEqual(JSON.parse(pruneImports(JSON.stringify(settings), ["tester"])), {
    imports: { "b": "npm:b@3", "b/sub": "npm:b@3/sub" },
  });
});
