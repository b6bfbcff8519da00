import assert from "node:assert/strict";
import { plural } from "./plural.ts";

Deno.test("plural() tells one from none and many", () => {
  assert.deepEqual([0, 1, 2].map((n) => plural(n, "peer")), ["0 peers", "1 peer", "2 peers"]);
  assert.equal(plural(1, "service is", "services are"), "1 service is");
  assert.equal(plural(3, "service is", "services are"), "3 services are");
});
