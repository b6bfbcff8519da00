import assert from "node:assert/strict";
import {
  FR_ACT_BLACKHOLE,
  FR_ACT_GOTO,
  FR_ACT_NOP,
  FR_ACT_TO_TBL,
  FR_ACT_UNREACHABLE,
} from "../../../ffi/linux/fib_rules.ts";
import { routeOf } from "../../../ffi/rtnl/route.ts";
import { type Rule, ruleText } from "../../../ffi/rtnl/rule.ts";
import { type Flow, takerOf } from "./policy.ts";

const rule = (priority: number, table: number, more: Partial<Rule> = {}): Rule => ({
  family: 4,
  priority,
  table,
  action: FR_ACT_TO_TBL,
  invert: false,
  ...more,
});
const LOCAL = rule(0, 255);
const MAIN = rule(32766, 254);
const FLOW: Flow = { from: "10.244.3.0/24", to: "10.244.0.0/16", iif: "knet0" };

const ROUTES = [
  routeOf({ dst: "10.244.7.0/24", table: 254, protocol: 107 }),
  routeOf({ dst: "10.0.0.0/8", table: 52 }),
  routeOf({ dst: "10.244.7.9/32", table: 53 }),
  routeOf({ dst: "192.168.0.0/16", table: 54 }),
  routeOf({ dst: "0.0.0.0/0", table: 55 }),
  routeOf({ dst: "10.244.0.0/16", table: 56, type: 9 }),
  routeOf({ dst: "10.244.0.0/16", table: 57, type: 6 }),
  routeOf({ dst: "10.244.7.0/24", table: 58, protocol: 107 }),
];

const taken = (...rules: Rule[]) => {
  const found = takerOf([LOCAL, ...rules, MAIN], ROUTES, FLOW);
  return found && `${ruleText(found.rule)}${found.route ? ` (${found.route.dst})` : ""}`;
};

Deno.test("takerOf() finds the table that is asked before the main one and has a route there", () => {
  assert.equal(taken(), undefined);
  assert.equal(taken(rule(5270, 52)), "5270: from all lookup 52 (10.0.0.0/8)", "Tailscale's");
  assert.equal(taken(rule(100, 53)), "100: from all lookup 53 (10.244.7.9/32)", "one container");
  assert.equal(taken(rule(100, 54), rule(101, 55)), "101: from all lookup 55 (0.0.0.0/0)");
  assert.equal(taken(rule(100, 57)), "100: from all lookup 57 (10.244.0.0/16)", "a blackhole");
  assert.equal(taken(rule(100, 56)), undefined, "throw leads on");
  assert.equal(taken(rule(100, 58)), undefined, "knet's own");
  assert.equal(takerOf([LOCAL, MAIN, rule(32767, 52)], ROUTES, FLOW), undefined, "too late");
});

Deno.test("takerOf() leaves out rules that do not mean containers' packets", () => {
  for (
    const other of [
      { fwmark: 0xca6c },
      { src: "198.51.100.7/32" },
      { dst: "10.96.0.0/16" },
      { iif: "wg0" },
      { iif: "lo" },
      { oif: "eth1" },
      { users: [1000, 2000] as const },
      { suppress: 8 },
      { l3mdev: true, table: 0 },
      { action: FR_ACT_NOP, table: 0 },
    ]
  ) assert.equal(taken(rule(100, 52, other)), undefined, JSON.stringify(other));
  for (
    const some of [
      { invert: true, fwmark: 0xca6c },
      { src: "10.244.3.9/32" },
      { invert: true, src: "10.244.3.9/32" },
      { dst: "10.244.7.0/24" },
      { iif: "knet0" },
      { users: [0, 0] as const },
      { suppress: 7 },
    ]
  ) assert.ok(taken(rule(100, 52, some)), JSON.stringify(some));
});

Deno.test("takerOf() follows wg-quick's rules, jumps, and rules that refuse", () => {
  // The main table's own routes, its default one left out, come before the tunnel.
  const quick = rule(32765, 55, { invert: true, fwmark: 0xca6c });
  assert.equal(taken(rule(32764, 254, { suppress: 0 }), quick), undefined);
  assert.ok(taken(quick));
  const jump = rule(100, 0, { action: FR_ACT_GOTO, goto: 32766 });
  assert.equal(taken(jump, rule(200, 52)), undefined);
  assert.equal(taken(rule(9, 0, { action: FR_ACT_UNREACHABLE })), "9: from all unreachable");
  const black = rule(9, 0, { action: FR_ACT_BLACKHOLE, src: "10.244.0.0/16" });
  assert.equal(taken(black), "9: from 10.244.0.0/16 blackhole");
});

Deno.test("ruleText() writes rules as ip rule does", () => {
  const mark = { invert: true, fwmark: 0x80000, fwmask: 0xff0000, suppress: 0 };
  assert.equal(
    ruleText(rule(5210, 254, mark)),
    "5210: not from all fwmark 0x80000/0xff0000 lookup main suppress_prefixlength 0",
  );
  assert.equal(
    ruleText(rule(1000, 0, { l3mdev: true, iif: "lo", users: [1, 5] })),
    "1000: from all iif lo uidrange 1-5 lookup [l3mdev-table]",
  );
  assert.equal(
    ruleText(rule(8, 52, { src: "10.244.3.9/32" })),
    "8: from 10.244.3.9 lookup 52",
  );
  assert.equal(
    ruleText(rule(7, 0, { dst: "10.0.0.0/8", oif: "eth1", goto: 9 })),
    "7: from all to 10.0.0.0/8 oif eth1 goto 9",
  );
});
