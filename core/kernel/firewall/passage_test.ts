import assert from "node:assert/strict";
import type { Packet } from "./packet_match.ts";
import { drops } from "./passage.ts";
import { lookupIn } from "./plain_rules.ts";
import type { Chain, Expression, Rule } from "./ruleset.ts";

const INPUT: Chain = {
  family: "ip",
  table: "filter",
  name: "INPUT",
  hook: "input",
  type: "filter",
  policy: "accept",
};
const SERVICE: Packet = {
  ...{ family: 4, local: true },
  ...{ from: "10.244.0.0/16", to: "10.96.0.0/16", iif: "knet0" },
};
const TUNNEL: Packet = { family: 4, local: true, protocol: "udp", port: 8472, iif: "eth0" };

/** Rules by chain, as libnftables lists them. */
function rules(chains: Record<string, readonly (readonly Expression[])[]>): Rule[] {
  let handle = 1;
  return Object.entries(chains).flatMap(([chain, list]) =>
    list.map((expr) => ({ family: "ip", table: "filter", chain, handle: handle++, expr }))
  );
}
const dropped = (
  packet: Packet,
  chains: Record<string, readonly (readonly Expression[])[]>,
  policy = "accept",
) => drops({ ...INPUT, policy }, packet, lookupIn(rules(chains)));

const match = (left: Expression, right: unknown, op = "=="): Expression => ({
  match: { op, left, right },
});
const meta = (key: string) => ({ meta: { key } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const state = (...right: string[]) => match({ ct: { key: "state" } }, right, "in");
const jump = (target: string) => ({ jump: { target } });
const goto = (target: string) => ({ goto: { target } });
const net = (addr: string, len: number) => ({ prefix: { addr, len } });
const DROP = { drop: null }, ACCEPT = { accept: null }, RETURN = { return: null };
const REJECT = { xt: { type: "target", name: "REJECT" } };
const COUNTER = { counter: { packets: 0, bytes: 0 } };

Deno.test("drops() follows the policy, the last rule and iptables' own REJECT", () => {
  assert.equal(dropped(SERVICE, {}), false);
  assert.equal(dropped(SERVICE, {}, "drop"), true);
  assert.equal(dropped(SERVICE, { INPUT: [[COUNTER, DROP]] }), true);
  assert.equal(dropped(SERVICE, { INPUT: [[COUNTER, REJECT]] }), true);
  assert.equal(dropped(SERVICE, { INPUT: [[{ reject: {} }]] }), true);
  assert.equal(dropped(SERVICE, { INPUT: [[{ log: null }], [ACCEPT], [DROP]] }, "drop"), false);
  assert.equal(dropped(SERVICE, { INPUT: [[{ queue: null }]] }, "drop"), false);
});

Deno.test("drops() follows jumps, as ufw and firewalld make them", () => {
  const ufw = {
    INPUT: [[jump("ufw-before-input")], [jump("ufw-after-input")], [jump("ufw-reject-input")]],
    "ufw-before-input": [
      [match(meta("iifname"), "lo"), ACCEPT],
      [state("established", "related"), ACCEPT],
      [jump("ufw-user-input")],
    ],
    "ufw-user-input": [[match(payload("tcp", "dport"), 22), ACCEPT]],
    "ufw-reject-input": [[COUNTER, REJECT]],
  };
  assert.equal(dropped(SERVICE, ufw), true);
  assert.equal(dropped(TUNNEL, ufw), true);
  const allowed = {
    ...ufw,
    "ufw-user-input": [
      [match(payload("udp", "dport"), 8472), ACCEPT],
      [
        match(payload("ip", "saddr"), net("10.244.0.0", 16)),
        match(payload("ip", "daddr"), net("10.96.0.0", 16)),
        ACCEPT,
      ],
    ],
  };
  assert.equal(dropped(SERVICE, allowed), false, "as the administrator was told to");
  assert.equal(dropped(TUNNEL, allowed), false);

  const firewalld = {
    INPUT: [[state("established"), ACCEPT], [jump("ZONES")], [{ reject: {} }]],
    ZONES: [
      [match(payload("ip", "saddr"), net("10.0.0.0", 8)), goto("trusted")],
      [match(meta("iifname"), "eth0"), goto("public")],
      [goto("public")],
    ],
    trusted: [[ACCEPT]],
    public: [[match(meta("l4proto"), "icmp"), ACCEPT], [{ reject: {} }]],
  };
  assert.equal(dropped(SERVICE, firewalld), false);
  assert.equal(dropped(TUNNEL, firewalld), true);
});

Deno.test("drops() follows maps of verdicts, and comes back from where it jumped", () => {
  const map = (key: Expression, ...set: [unknown, Expression][]) => ({
    vmap: { key, data: { set } },
  });
  const native = {
    INPUT: [
      [map({ ct: { key: "state" } }, ["established", ACCEPT], ["invalid", DROP])],
      [map(meta("iifname"), ["lo", ACCEPT], ["knet*", jump("inner")], ["eth0", goto("world")])],
      [DROP],
    ],
    inner: [[match(payload("th", "dport"), 53), ACCEPT], [RETURN], [ACCEPT]],
    world: [[match(payload("udp", "dport"), { set: [{ range: [8400, 8500] }, 53] }), ACCEPT]],
  };
  assert.equal(dropped(SERVICE, native), true);
  assert.equal(dropped(TUNNEL, native), false);
  assert.equal(dropped({ ...TUNNEL, port: 8285 }, native), false, "by the policy behind goto");
  assert.equal(dropped({ ...TUNNEL, port: 8285 }, native, "drop"), true);
  assert.equal(dropped(SERVICE, { INPUT: [[jump("INPUT")]] }, "drop"), true, "a circle has an end");
});

Deno.test("drops() takes conditions on protocol, interface, state and family for what they are", () => {
  const udp = match(payload("ip", "protocol"), "udp");
  assert.equal(dropped(TUNNEL, { INPUT: [[udp, DROP]] }), true);
  assert.equal(
    dropped(TUNNEL, { INPUT: [[match(meta("l4proto"), { set: [6, 132] }), DROP]] }),
    false,
  );
  assert.equal(dropped(TUNNEL, { INPUT: [[match(meta("iifname"), "lo", "!="), DROP]] }), true);
  assert.equal(dropped(SERVICE, { INPUT: [[match(meta("iifname"), "eth0"), DROP]] }), false);
  assert.equal(dropped(SERVICE, { INPUT: [[state("new", "untracked"), DROP]] }), true);
  assert.equal(
    dropped(SERVICE, { INPUT: [[match(meta("nfproto"), "ipv6"), ACCEPT]] }, "drop"),
    true,
  );
  const ipip: Packet = { family: 4, local: true, protocol: "ipip" };
  assert.equal(
    dropped(ipip, { INPUT: [[match(meta("l4proto"), "ipencap"), ACCEPT]] }, "drop"),
    false,
  );
});

Deno.test("drops() makes nothing of what it does not understand, and of a drop that is meant", () => {
  const unknown = { xt: { type: "match", name: "conntrack" } };
  assert.equal(dropped(SERVICE, { INPUT: [[unknown, ACCEPT]] }, "drop"), true);
  assert.equal(dropped(SERVICE, { INPUT: [[unknown, DROP]] }), false);
  assert.equal(dropped(SERVICE, { INPUT: [[{ limit: { rate: 3 } }, ACCEPT]] }, "drop"), true);
  assert.equal(dropped(SERVICE, { INPUT: [[match(payload("ip", "saddr"), "@bad"), DROP]] }), false);
  const meant = match(payload("ip", "saddr"), net("10.0.0.0", 8));
  assert.equal(dropped(SERVICE, { INPUT: [[meant, DROP]] }), false);
  assert.equal(dropped(TUNNEL, { INPUT: [[match(payload("udp", "dport"), 8472), DROP]] }), false);
  // Part of the network only.
  const part = match(payload("ip", "saddr"), net("10.244.3.0", 24));
  assert.equal(dropped(SERVICE, { INPUT: [[part, ACCEPT]] }, "drop"), true);
});

Deno.test("drops() passes over knet's own rules: the question is whether they are needed", () => {
  const own = rules({ INPUT: [[ACCEPT]] }).map((rule) => ({ ...rule, comment: "knet" }));
  assert.equal(drops({ ...INPUT, policy: "drop" }, SERVICE, lookupIn(own)), true);
});
