import assert from "node:assert/strict";
import type { Chain, Expression, Rule } from "../kernel/firewall/ruleset.ts";
import { closedChains } from "./input_chains.ts";

const chain = (more: Partial<Chain> = {}): Chain => ({
  family: "inet",
  table: "filter",
  name: "input",
  hook: "input",
  type: "filter",
  policy: "drop",
  ...more,
});
let handle = 1;
const rule = (expr: Expression[], name = "input"): Rule => ({
  family: "inet",
  table: "filter",
  chain: name,
  handle: handle++,
  expr,
});
const dport = (right: unknown, protocol = "udp", op = "=="): Expression => ({
  match: { op, left: { payload: { protocol, field: "dport" } }, right },
});
const accept: Expression = { accept: null };
const closed = (chains: Chain[], rules: Rule[]) =>
  closedChains(chains, rules, { protocol: "udp", port: 8472 }).map(({ name }) => name);

Deno.test("closedChains() finds input chains that drop by policy or by their last rule", () => {
  assert.deepEqual(closed([chain()], []), ["input"]);
  const open = chain({ policy: "accept" });
  assert.deepEqual(closed([open], []), []);
  assert.deepEqual(closed([open], [rule([{ counter: {} }, { drop: null }])]), ["input"]);
  assert.deepEqual(closed([open], [rule([{ drop: null }]), rule([accept])]), []);
  assert.deepEqual(closed([chain({ hook: "forward" }), chain({ family: "ip6" })], []), []);
  assert.deepEqual(closed([chain({ family: "ip", table: "knet" })], []), [], "knet's own");
});

Deno.test("closedChains() sees the port accepted, alone, in a set, in a range, in a chain jumped to", () => {
  for (
    const right of [8472, { set: [53, 8472] }, { set: [{ range: [8000, 9000] }] }, {
      range: [8472, 8472],
    }]
  ) {
    assert.deepEqual(closed([chain()], [rule([dport(right), accept])]), [], JSON.stringify(right));
  }
  assert.deepEqual(closed([chain()], [rule([dport(8472, "th"), accept])]), []);
  assert.deepEqual(closed([chain()], [rule([dport(8472), accept], "user")]), []);
  for (
    const expr of [
      [dport(8473), accept],
      [dport(8472, "tcp"), accept],
      [dport(8472, "udp", "!="), accept],
      [dport(8472), { drop: null }],
      [dport({ set: [53, { range: [1, 8471] }] }), accept],
    ]
  ) assert.deepEqual(closed([chain()], [rule(expr)]), ["input"], JSON.stringify(expr));
});

Deno.test("closedChains() sees all accepted that comes from a network, and nothing less", () => {
  const saddr = (addr: string, len: number, op = "=="): Expression => ({
    match: {
      op,
      left: { payload: { protocol: "ip", field: "saddr" } },
      right: { prefix: { addr, len } },
    },
  });
  const from = (expr: Expression[]) =>
    closedChains([chain()], [rule(expr)], { protocol: "tcp", from: "10.244.0.0/16" }).length;
  assert.equal(from([saddr("10.244.0.0", 16), { counter: {} }, accept]), 0);
  assert.equal(from([saddr("10.0.0.0", 8), accept]), 0);
  assert.equal(from([saddr("10.244.0.0", 24), accept]), 1);
  assert.equal(from([saddr("10.96.0.0", 16), accept]), 1);
  assert.equal(from([saddr("10.244.0.0", 16, "!="), accept]), 1);
  assert.equal(from([saddr("10.244.0.0", 16), dport(22, "tcp"), accept]), 1);
  assert.equal(from([saddr("10.244.0.0", 16), { drop: null }]), 1);
});
