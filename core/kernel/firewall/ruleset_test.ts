import assert from "node:assert/strict";
import { chainPath, dropsAll, jumpTarget, parseRuleset, type Rule } from "./ruleset.ts";

const rule = (...expr: Rule["expr"][number][]): Rule => ({
  family: "ip",
  table: "t",
  chain: "c",
  handle: 1,
  expr,
});

Deno.test("parseRuleset() takes chains and rules out of a listing and passes over the rest", () => {
  const chain = { family: "ip", table: "t", name: "c", handle: 1, hook: "forward" };
  const bare = { family: "ip", table: "t", chain: "c", handle: 2 };
  const listing = {
    nftables: [{ metainfo: {} }, { table: {} }, { chain }, { rule: bare }, { set: {} }],
  };
  assert.deepEqual(parseRuleset(JSON.stringify(listing)), {
    chains: [chain],
    rules: [{ ...bare, expr: [] }],
  });
  assert.deepEqual(parseRuleset(""), { chains: [], rules: [] });
  assert.deepEqual(parseRuleset("{}"), { chains: [], rules: [] });
  assert.throws(() => parseRuleset("{"), SyntaxError);
});

Deno.test("chainPath() names a chain as commands do", () => {
  assert.equal(
    chainPath({ family: "ip", table: "filter", name: "DOCKER-USER" }),
    "ip filter DOCKER-USER",
  );
});

Deno.test("jumpTarget() reads jumps and gotos", () => {
  assert.equal(jumpTarget(rule({ counter: {} }, { jump: { target: "x" } })), "x");
  assert.equal(jumpTarget(rule({ match: {} }, { goto: { target: "y" } })), "y");
  assert.equal(jumpTarget(rule({ accept: null })), undefined);
});

Deno.test("dropsAll() holds of a verdict without a condition", () => {
  assert.ok(dropsAll(rule({ drop: null })));
  assert.ok(dropsAll(rule({ counter: {} }, { log: {} }, { reject: {} })));
  assert.ok(!dropsAll(rule({ match: {} }, { drop: null })));
  assert.ok(!dropsAll(rule({ limit: {} }, { drop: null })));
  assert.ok(!dropsAll(rule({ accept: null })));
  assert.ok(!dropsAll(rule()));
});
