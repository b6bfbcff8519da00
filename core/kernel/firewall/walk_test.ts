import assert from "node:assert/strict";
import fc from "fast-check";
import type { Packet } from "./packet_match.ts";
import { drops } from "./passage.ts";
import { lookupIn } from "./plain_rules.ts";
import type { Chain, Expression, Rule } from "./ruleset.ts";
import { verdictOf } from "./verdict.ts";

const accept: Expression = { accept: null };
const drop: Expression = { drop: null };
const is = (left: unknown, right: unknown) => ({ match: { op: "==", left, right } });
const meta = (key: string) => ({ meta: { key } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const jump = (target: string) => ({ jump: { target } });
const xt = (name: string, type = "match") => ({ xt: { type, name } });

const TUNNEL: Packet = {
  ...{ family: 4, protocol: "udp", port: 8472, local: true },
  ...{ from: "192.168.2.102", to: "192.168.2.101", iif: "eth0" },
};

/** What both readers make of a chain INPUT and one that it may jump to. */
function judge(
  INPUT: readonly (readonly Expression[])[],
  sub: readonly (readonly Expression[])[],
  policy: string,
) {
  const chain: Chain = {
    ...{ family: "ip", table: "filter", name: "INPUT", hook: "input", type: "filter" },
    policy,
  };
  const rules = Object.entries({ INPUT, sub }).flatMap(([chain, list]) =>
    list.map((expr, handle): Rule => ({ family: "ip", table: "filter", chain, handle, expr }))
  );
  const byChain = Map.groupBy(rules, ({ chain }) => `ip filter ${chain}`);
  const filters = { chains: [chain], rules: byChain, sets: new Map() };
  return {
    said: verdictOf(filters, ["input"], TUNNEL).fate,
    healed: drops(chain, TUNNEL, lookupIn(rules)),
  };
}

Deno.test("verdictOf() and drops() read rules alike: what knet heals is what doctor says is dropped", () => {
  const parts: readonly (readonly Expression[])[] = [
    [accept],
    [drop],
    [{ counter: null }, { reject: null }],
    [{ return: null }],
    [{ queue: null }],
    [jump("sub")],
    [{ goto: { target: "sub" } }],
    [is(meta("iifname"), "eth0"), accept],
    [is(meta("iifname"), "eth1"), drop],
    [is(meta("l4proto"), "udp"), drop],
    [is(payload("udp", "dport"), 8472), accept],
    [is(payload("ip", "saddr"), { prefix: { addr: "192.168.2.0", len: 24 } }), accept],
    [xt("recent"), accept],
    [xt("recent"), drop],
    [xt("REJECT", "target")],
    [xt("DROP", "target")],
    [{ vmap: { key: meta("iifname"), data: { set: [["eth0", accept], ["lo", drop]] } } }],
    [{ vmap: { key: meta("iifname"), data: "@unknown" } }],
  ];
  const some = fc.array(fc.constantFrom(...parts), { maxLength: 4 });
  fc.assert(fc.property(some, some, fc.boolean(), (first, sub, closed) => {
    const { said, healed } = judge(first, sub, closed ? "drop" : "accept");
    if (said === "dropped") assert.ok(healed);
    if (said === "passes") assert.ok(!healed);
  }));
});

Deno.test("verdictOf() is unsure where a program decides by a queue, and drops() leaves it to that", () => {
  const queue = [[{ queue: { num: 0 } }]];
  for (const policy of ["drop", "accept"]) {
    assert.deepEqual(judge([[jump("sub")], [drop]], queue, policy), {
      said: policy === "drop" ? "unsure" : "passes",
      healed: false,
    });
  }
  assert.deepEqual(judge([], [], "drop"), { said: "dropped", healed: true });
});
