import assert from "node:assert/strict";
import { pathsFinding } from "./paths_check.ts";

Deno.test("pathsFinding() names the peers that something is wrong with, and is silent about others", () => {
  assert.equal(pathsFinding(undefined).status, "skip");
  assert.equal(pathsFinding([]).status, "ok");
  const fine = { name: "h2", probe: { loss: 0, rtt: 0.4, mtu: 1450 } };
  assert.deepEqual(pathsFinding([fine, { name: "old" }]).detail, "1 path tried");
  const bad = { name: "h3", probe: { loss: 1, fault: "blocked" as const } };
  const { status, detail } = pathsFinding([fine, bad]);
  assert.deepEqual([status, /h3 \(blocked\)/.test(detail)], ["warn", true]);
});
