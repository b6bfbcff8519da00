// Which underlay is chosen by what the running kernel says of its routes, in network namespaces of the test's own.
import assert from "node:assert/strict";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { chooseUnderlay, type Held, type UnderlayChoice } from "../../core/overlay/underlay.ts";
import { readUnderlayFacts } from "../../core/overlay/underlay_facts.ts";
import { inNewNamespace } from "../support/namespace.ts";

/** Runs a shell script in the namespace that the thread is in. */
function sh(script: string): void {
  const { success, stderr } = new Deno.Command("sh", { args: ["-ec", script] }).outputSync();
  assert.ok(success, `${script}: ${new TextDecoder().decode(stderr)}`);
}

/** Two interfaces with addresses, as two uplinks. */
const UPLINKS = `ip link set lo up
  for n in 0 1; do
    ip link add eth$n type veth peer name far$n
    ip link set eth$n up; ip link set far$n up
    ip addr add 192.168.$n.10/24 dev eth$n
  done`;

function chosen(choice: Partial<UnderlayChoice> = {}, ...held: Held[]): string {
  using rtnl = openRtnl();
  const facts = readUnderlayFacts(rtnl, choice.family ?? 4);
  try {
    const { name, address, mtu } = chooseUnderlay(facts, { family: 4, ...choice }, ...held);
    return `${name} ${address} ${mtu}`;
  } catch (error) {
    return String(error);
  }
}

const NHID = "ip nexthop add id 7 via 192.168.1.1 dev eth1";
/** How a host comes to its way out, and the interface that it leads by. */
const FORMS: readonly (readonly [form: string, script: string, chosen: RegExp])[] = [
  [
    "several metrics",
    "ip route add default via 192.168.1.1 metric 9; ip route add default via 192.168.0.1 metric 99",
    /eth1/,
  ],
  [
    "several next hops",
    "ip route add default nexthop via 192.168.1.1 nexthop via 192.168.0.1",
    /eth1/,
  ],
  ["a next-hop object", `${NHID}; ip route add default nhid 7`, /eth1/],
  ["a group of them", `${NHID}; ip nexthop add id 8 group 7; ip route add default nhid 8`, /eth1/],
  [
    "nothing but their ids",
    `sysctl -qw net.ipv4.nexthop_compat_mode=0; ${NHID}; ip nexthop add id 8 group 7; ip route add default nhid 8`,
    /eth1/,
  ],
  ["a router of the other family", "ip -4 route add default via inet6 fe80::1 dev eth1", /eth1/],
  ["onlink", "ip route add default via 172.31.1.1 dev eth1 onlink", /eth1/],
  ["a device alone", "ip route add default dev eth1", /eth1/],
  [
    "a rule",
    "ip route add default via 192.168.1.1 table 100; ip rule add pref 100 lookup 100",
    /eth1/,
  ],
  [
    "a rule for some packets",
    "ip route add default via 192.168.1.1 table 100; ip rule add pref 100 from 192.168.1.10 lookup 100",
    /eth1/,
  ],
  [
    "two halves",
    "ip route add 0.0.0.0/1 via 192.168.1.1; ip route add 128.0.0.0/1 via 192.168.1.1",
    /eth1/,
  ],
  [
    "a VPN's halves",
    "ip route add default via 192.168.0.1; ip route add 0.0.0.0/1 via 192.168.1.1; ip route add 128.0.0.0/1 via 192.168.1.1",
    /eth0/,
  ],
  [
    "a VPN's table",
    "ip route add default via 192.168.0.1; ip route add default dev eth1 table 51820; ip rule add pref 100 not fwmark 51820 lookup 51820",
    /eth0/,
  ],
  [
    "one that is unreachable beside it",
    "ip route add unreachable default metric 1; ip route add default via 192.168.1.1 metric 5",
    /eth1/,
  ],
  ["none", "ip route add blackhole default", /no default route/],
];

Deno.test("readUnderlayFacts() and chooseUnderlay() find the way out in every form that the kernel takes", async () => {
  for (const [form, script, pattern] of FORMS) {
    await inNewNamespace(() => {
      sh(`${UPLINKS}; ${script}`);
      assert.match(chosen(), pattern, form);
    });
  }
});

Deno.test("readUnderlayFacts() and chooseUnderlay() stay where the host is known, and come back", () =>
  inNewNamespace(() => {
    sh(`${UPLINKS}; ip route add default via 192.168.0.1 metric 9`);
    assert.equal(chosen(), "eth0 192.168.0.10 1500");
    const home = { address: "192.168.0.10", name: "eth0", prefixLength: 24 };
    sh("ip route add default via 192.168.1.1 metric 1");
    assert.equal(chosen(), "eth1 192.168.1.10 1500");
    assert.equal(chosen({}, home), "eth0 192.168.0.10 1500", "a better way than its own");
    sh("ip link set eth0 down");
    assert.equal(chosen({}, home), "eth1 192.168.1.10 1500");
    sh("ip link set eth0 up");
    const away = { address: "192.168.1.10", name: "eth1", prefixLength: 24 };
    assert.equal(chosen({}, home, away), "eth0 192.168.0.10 1500");
    sh(
      "ip route flush default; ip route add default via 192.168.0.1; ip addr add 192.168.0.99/32 dev eth0; ip addr del 192.168.0.10/24 dev eth0",
    );
    sh("ip route add default dev eth0 metric 3");
    assert.equal(chosen({}, home), "eth0 192.168.0.99 1500", "keepalived's");
    sh("ip addr add 192.168.0.10/24 dev eth0");
    const vip = { address: "192.168.0.99", name: "eth0", prefixLength: 32 };
    assert.equal(chosen({}, home, vip), "eth0 192.168.0.10 1500");
  }));

Deno.test("readUnderlayFacts() and chooseUnderlay() know lo's way out, and its MTU", () =>
  inNewNamespace(() => {
    sh(`${UPLINKS}; ip addr add 10.255.0.1/32 dev lo; ip link set eth1 mtu 1400
      ip route add 10.255.0.0/24 nexthop via 192.168.0.1 nexthop via 192.168.1.1`);
    assert.equal(chosen({ iface: "lo" }), "lo 10.255.0.1 1400");
    assert.equal(chosen({ publicIp: "10.255.0.1" }), "lo 10.255.0.1 1400");
    sh("ip link set eth1 mtu 1300");
    assert.equal(chosen({ iface: "lo" }), "lo 10.255.0.1 1300");
    // BGP unnumbered: no address but lo's.
    sh(
      "ip addr flush dev eth0; ip addr flush dev eth1; ip -4 route add default via inet6 fe80::1 dev eth1",
    );
    assert.equal(chosen(), "lo 10.255.0.1 1300");
    assert.match(chosen({ iface: "eth0" }), /no global IPv4 address/);
    assert.match(chosen({ iface: "eth1", publicIp: "10.255.0.1" }), /eth1 10\.255\.0\.1 1300/);
  }));
