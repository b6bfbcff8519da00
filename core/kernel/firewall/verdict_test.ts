import assert from "node:assert/strict";
import type { Chain, Expression } from "./ruleset.ts";
import { parseFilters, type Verdict, verdictOf } from "./verdict.ts";
import type { Packet } from "./packet_match.ts";

const base = (more: Partial<Chain> = {}): Chain => ({
  family: "ip",
  table: "filter",
  name: "INPUT",
  hook: "input",
  type: "filter",
  policy: "accept",
  ...more,
});

const accept: Expression = { accept: null };
const drop: Expression = { drop: null };
const is = (left: unknown, right: unknown, op = "==") => ({ match: { op, left, right } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const meta = (key: string) => ({ meta: { key } });
const dport = (right: unknown, protocol = "udp", op = "==") =>
  is(payload(protocol, "dport"), right, op);
const saddr = (right: unknown, op = "==") => is(payload("ip", "saddr"), right, op);
const prefix = (addr: string, len: number) => ({ prefix: { addr, len } });
const jump = (target: string) => ({ jump: { target } });
const xt = (name: string, type = "match") => ({ xt: { type, name } });
const counter = { counter: { packets: 0, bytes: 0 } };

const TUNNEL: Packet = {
  family: 4,
  protocol: "udp",
  port: 8472,
  from: "192.168.2.102",
  to: "192.168.2.101",
  iif: "eth0",
  local: true,
};

/** Chains by name, each with its rules: the first is the hook's. */
function fate(
  rules: Readonly<Record<string, readonly (readonly Expression[])[]>>,
  packet: Partial<Packet> = {},
  chain: Partial<Chain> = {},
  sets: readonly unknown[] = [],
): Verdict["fate"] {
  const { family, table } = base(chain);
  const chains = Object.keys(rules).map((name, n) =>
    n === 0 ? base({ name, ...chain }) : { family, table, name }
  );
  const listing = {
    nftables: [
      ...Object.entries(rules).flatMap(([name, list]) =>
        list.map((expr, handle) => ({ rule: { family, table, chain: name, handle, expr } }))
      ),
      ...sets,
    ],
  };
  const filters = parseFilters(chains, [JSON.stringify(listing)]);
  return verdictOf(filters, ["prerouting", "input"], { ...TUNNEL, ...packet }).fate;
}

Deno.test("verdictOf() goes by policy, by the last rule, and through chains that are jumped to", () => {
  assert.equal(fate({ INPUT: [] }), "passes");
  assert.equal(fate({ INPUT: [] }, {}, { policy: "drop" }), "dropped");
  assert.equal(fate({ INPUT: [[counter, drop]] }), "dropped");
  assert.equal(fate({ INPUT: [[drop], [accept]] }), "dropped", "the first that means it");
  assert.equal(fate({ INPUT: [[jump("L")]], L: [[{ log: null }], [{ reject: {} }]] }), "dropped");
  assert.equal(fate({ INPUT: [[jump("L")], [accept]], L: [[{ return: null }], [drop]] }), "passes");
  assert.equal(fate({ INPUT: [[jump("A")]], A: [[jump("B")], [drop]], B: [[accept]] }), "passes");
  assert.equal(fate({ INPUT: [[{ goto: { target: "A" } }], [accept]], A: [] }), "passes");
  assert.equal(
    fate({ INPUT: [[{ goto: { target: "A" } }], [accept]], A: [] }, {}, { policy: "drop" }),
    "dropped",
    "from where it was sent it does not come back",
  );
  assert.equal(fate({ INPUT: [[xt("LOG", "target")], [xt("REJECT", "target")]] }), "dropped");
  // A circle, which the kernel refuses, ends too.
  assert.equal(fate({ INPUT: [[jump("A")]], A: [[jump("A")]] }), "passes");
});

Deno.test("verdictOf() looks at hooks that the packet passes, and at chains of its family", () => {
  const closed = { policy: "drop" };
  assert.equal(fate({ INPUT: [] }, {}, { ...closed, hook: "prerouting" }), "dropped");
  for (
    const other of [{ hook: "forward" }, { family: "ip6" }, { type: "nat" }, { table: "knet" }, {
      family: "bridge",
    }]
  ) assert.equal(fate({ INPUT: [] }, {}, { ...closed, ...other }), "passes", JSON.stringify(other));
  assert.equal(fate({ INPUT: [] }, {}, { ...closed, family: "inet" }), "dropped");
});

Deno.test("verdictOf() knows port, protocol, addresses, devices, and that the connection is new", () => {
  for (
    const means of [
      [dport(8472)],
      [dport({ set: [53, 8472] })],
      [dport({ set: [{ range: [8000, 9000] }] })],
      [dport({ range: [8472, 8472] })],
      [dport(8472, "th")],
      [dport({ set: [22, 53] }, "udp", "!=")],
      [saddr(prefix("192.168.0.0", 16))],
      [saddr({ range: ["192.168.2.100", "192.168.2.110"] })],
      [saddr({ set: ["192.168.2.102"] }), is(meta("iifname"), "eth0")],
      [is(meta("iifname"), { set: ["lo", "eth*"] })],
      [is(meta("iif"), "lo", "!=")],
      [is(meta("l4proto"), { set: ["tcp", "udp"] })],
      [is(payload("ip", "protocol"), 17)],
      [is({ ct: { key: "state" } }, ["new", "related"], "in")],
      [is({ fib: { result: "type", flags: ["daddr"] } }, "local")],
      [is(payload("ip", "daddr"), "@mine")],
      [xt("comment"), dport(8472)],
    ]
  ) {
    const sets = [{
      set: { family: "ip", table: "filter", name: "mine", elem: ["192.168.2.101", "::1"] },
    }];
    const text = JSON.stringify(means);
    assert.equal(
      fate({ INPUT: [[...means, accept]] }, {}, { policy: "drop" }, sets),
      "passes",
      text,
    );
    assert.equal(fate({ INPUT: [[...means, drop]] }, {}, {}, sets), "dropped", text);
  }
  for (
    const other of [
      [dport(8473)],
      [dport(8472, "tcp")],
      [dport(8472, "tcp", "!=")],
      [dport(8472, "udp", "!=")],
      [dport({ set: [53, { range: [1, 8471] }] })],
      [saddr(prefix("192.168.2.0", 25), "!=")],
      [saddr("10.0.0.1")],
      [is(meta("iifname"), "lo")],
      [is(meta("oifname"), "eth0", "!=")],
      [is({ ct: { key: "state" } }, ["established", "related"], "in")],
      [is({ ct: { key: "state" } }, { "|": ["established", "related"] })],
      [is({ ct: { key: "status" } }, "dnat", "in")],
      [xt("conntrack")],
      [is(meta("iifname"), "eth0"), xt("state")],
      [is(meta("pkttype"), "broadcast")],
      [is({ concat: [payload("ip", "saddr"), payload("tcp", "dport")] }, "@some")],
    ]
  ) {
    const text = JSON.stringify(other);
    assert.equal(fate({ INPUT: [[...other, accept]] }, {}, { policy: "drop" }), "dropped", text);
    assert.equal(fate({ INPUT: [[...other, drop]] }), "passes", text);
  }
});

Deno.test("verdictOf() is unsure where only a rule that cannot be read, or means a part, accepts", () => {
  for (
    const means of [
      [is(meta("mark"), 1)],
      [{ limit: { rate: 5, per: "second" } }],
      [xt("multiport")],
      [saddr("@unknown")],
      [dport(8472), xt("conntrack")],
      [is({ concat: [payload("ip", "saddr"), payload("udp", "dport")] }, "@some")],
      [is({ "&": [payload("ip", "saddr"), 1] }, 1)],
    ]
  ) {
    const text = JSON.stringify(means);
    assert.equal(fate({ INPUT: [[...means, accept]] }, {}, { policy: "drop" }), "unsure", text);
    assert.equal(fate({ INPUT: [[...means, drop]] }), "passes", text);
  }
  const all = { from: "10.244.0.0/16" };
  const part = [saddr(prefix("10.244.0.0", 24)), accept];
  assert.equal(fate({ INPUT: [part] }, all, { policy: "drop" }), "unsure");
  assert.equal(fate({ INPUT: [[saddr(prefix("10.0.0.0", 8)), accept], [drop]] }, all), "passes");
  assert.equal(fate({ INPUT: [[saddr(prefix("10.96.0.0", 16)), accept], [drop]] }, all), "dropped");
  const any = { ...TUNNEL, protocol: undefined } as unknown as Packet;
  assert.equal(fate({ INPUT: [[dport(8472), accept], [drop]] }, any), "unsure");
  assert.equal(fate({ INPUT: [[dport(22, "tcp"), drop]] }, any), "passes");
  const { iif: _, ...anywhere } = TUNNEL;
  const filters = parseFilters([base({ policy: "drop" })], [JSON.stringify({
    nftables: [is(meta("iifname"), "lo"), is(meta("iifname"), "wg0")].map((match, handle) => ({
      rule: { family: "ip", table: "filter", chain: "INPUT", handle, expr: [match, accept] },
    })),
  })]);
  assert.equal(verdictOf(filters, ["input"], anywhere).fate, "unsure", "but not by lo");
  assert.equal(verdictOf(filters, ["input"], { ...anywhere, iif: "eth0" }).fate, "dropped");
  assert.equal(verdictOf(filters, ["input"], { ...anywhere, iif: "wg0" }).fate, "passes");
});

Deno.test("verdictOf() follows verdict maps, written out or named", () => {
  const state = { ct: { key: "state" } };
  const states = [["established", accept], ["invalid", drop]];
  const byState = { vmap: { key: state, data: { set: states } } };
  assert.equal(fate({ INPUT: [[byState]] }), "passes");
  const ports = (data: unknown) => ({ vmap: { key: payload("udp", "dport"), data } });
  const out = { set: [[8472, jump("T")], [53, accept]] };
  assert.equal(fate({ INPUT: [[byState], [ports(out)]], T: [[drop]] }), "dropped");
  assert.equal(fate({ INPUT: [[ports(out)], [drop]], T: [[accept]] }), "passes");
  const named = [{ map: { family: "ip", table: "filter", name: "m", elem: [[8472, accept]] } }];
  assert.equal(fate({ INPUT: [[ports("@m")], [drop]] }, {}, {}, named), "passes");
  assert.equal(fate({ INPUT: [[ports("@gone")], [drop]] }), "unsure");
});

/** As ufw writes them with iptables-nft: extensions that nftables cannot show, and a policy. */
const ufw = (user: readonly Expression[][]) => ({
  INPUT: [
    [counter, jump("ufw-before-logging-input")],
    [counter, jump("ufw-before-input")],
    [counter, jump("ufw-after-input")],
    [counter, jump("ufw-reject-input")],
  ],
  "ufw-before-logging-input": [],
  "ufw-before-input": [
    [is(meta("iifname"), "lo"), counter, accept],
    [xt("conntrack"), counter, accept],
    [xt("conntrack"), counter, jump("ufw-logging-deny")],
    [xt("conntrack"), counter, drop],
    [is(meta("l4proto"), "icmp"), is(payload("icmp", "type"), "echo-request"), counter, accept],
    [is(payload("udp", "sport"), 67), dport(68), counter, accept],
    [counter, jump("ufw-not-local")],
    [is(payload("ip", "daddr"), "224.0.0.251"), dport(5353), counter, accept],
    [counter, jump("ufw-user-input")],
  ],
  "ufw-not-local": [
    [xt("addrtype"), counter, { return: null }],
    [xt("limit"), counter, jump("ufw-logging-deny")],
    [counter, drop],
  ],
  "ufw-logging-deny": [[xt("limit"), counter, xt("LOG", "target")]],
  "ufw-user-input": user,
  "ufw-after-input": [[dport(137), counter, jump("ufw-skip-to-policy-input")]],
  "ufw-skip-to-policy-input": [[counter, drop]],
  "ufw-reject-input": [],
});

Deno.test("verdictOf() tells whether ufw lets the tunnel in", () => {
  assert.equal(fate(ufw([]), {}, { policy: "drop" }), "dropped");
  assert.equal(fate(ufw([[dport(22, "tcp"), accept]]), {}, { policy: "drop" }), "dropped");
  // What its addrtype match asks is not seen: it may be dropped as not for this host.
  assert.equal(fate(ufw([[dport(8472), accept]]), {}, { policy: "drop" }), "unsure");
});

/** As firewalld writes them: zones by device and source, a reject at the end. */
const firewalld = (zone: readonly Expression[][], trusted: readonly Expression[][] = []) => ({
  filter_INPUT: [
    [is({ ct: { key: "state" } }, ["established", "related"], "in"), accept],
    [is({ ct: { key: "status" } }, "dnat", "in"), accept],
    [is(meta("iifname"), "lo"), accept],
    [is({ ct: { key: "state" } }, "invalid", "in"), drop],
    [jump("filter_INPUT_ZONES")],
    [{ reject: { type: "icmpx", expr: "admin-prohibited" } }],
  ],
  filter_INPUT_ZONES: [...trusted, [{ goto: { target: "filter_IN_public" } }]],
  filter_IN_public: [
    [jump("filter_IN_public_allow")],
    [is(meta("l4proto"), { set: ["icmp", "ipv6-icmp"] }), accept],
    [{ reject: { type: "icmpx", expr: "admin-prohibited" } }],
  ],
  filter_IN_public_allow: zone,
  filter_IN_trusted: [[accept]],
});

Deno.test("verdictOf() tells whether firewalld lets the tunnel in", () => {
  const chain = { family: "inet", table: "firewalld" };
  assert.equal(fate(firewalld([[dport(22, "tcp"), accept]]), {}, chain), "dropped");
  assert.equal(fate(firewalld([[dport(8472), accept]]), {}, chain), "passes");
  const source = [saddr(prefix("10.244.0.0", 16)), { goto: { target: "filter_IN_trusted" } }];
  assert.equal(fate(firewalld([], [source]), {}, chain), "dropped");
  assert.equal(fate(firewalld([], [source]), { from: "10.244.3.0/24" }, chain), "passes");
});
