import assert from "node:assert/strict";
import { Nftables } from "../../../ffi/libnftables.ts";
import { newNetns, withNetns } from "../../../ffi/netns.ts";
import { skip, whyNoLab } from "../../../tests/support/skip.ts";
import { parseListing } from "./firewall.ts";
import {
  type FirewallDesired,
  firewallRules,
  guardRules,
  peerDeltaRules,
  removalRules,
  usablePeers,
} from "./rules.ts";

const tunnel = (peers: string[], port = 8472) => ({
  port,
  vni: 1,
  device: "knet.1",
  user: undefined,
  peers,
});

const desired: FirewallDesired = {
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  address: "192.168.2.1",
  bridge: "knet0",
  ipMasq: true,
  peersOnly: tunnel(["192.168.2.2", "192.168.2.3"]),
};
const six: FirewallDesired = {
  network: "fd00::/48",
  subnet: "fd00:0:0:1::/64",
  address: "fd09::1",
  bridge: "cni0",
  ipMasq: true,
  peersOnly: tunnel(["fd09::2"]),
};

Deno.test("firewallRules() masquerades what leaves the network and not what stays inside", () => {
  const lines = firewallRules({ ...desired, peersOnly: undefined }).split("\n");
  const nat = lines.slice(lines.findIndex((line) => line.includes("nat hook")) + 1);
  assert.deepEqual(nat.slice(0, 4), [
    "ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 return",
    "ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random",
    "ip saddr != 10.244.0.0/16 ip daddr 10.244.1.0/24 return",
    "ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random",
  ]);
  assert.ok(!lines.some((line) => line.includes("@peers")));
});

Deno.test("firewallRules() drops datagrams from no peer, and those out of the overlay whatever they say", () => {
  const text = firewallRules({ ...desired, ipMasq: false });
  assert.match(text, /elements = \{ 192\.168\.2\.2, 192\.168\.2\.3 \}/);
  assert.match(text, /iifname "knet\*" udp dport 8472 @th,96,24 1 counter drop/);
  assert.match(text, /\nudp dport 8472 @th,96,24 1 ip saddr != @peers counter drop/);
  assert.ok(!text.includes("masquerade"));
  assert.match(firewallRules({ ...desired, bridge: "cni0" }), /iifname "cni0" udp dport 8472/);
  const nobody = firewallRules({ ...desired, peersOnly: tunnel([]) });
  assert.ok(!nobody.includes("elements"), "nftables takes no empty list");
});

Deno.test("firewallRules() takes what comes to the tunnel at the address that peers know, not at any that the host has", () => {
  const at = (own?: string[]) =>
    firewallRules({ ...desired, peersOnly: { ...tunnel(["192.168.2.2"]), own } });
  const astray = /\nudp dport 8472 @th,96,24 1 ip daddr != (.*) counter drop/;
  assert.equal(astray.exec(at(["192.168.2.1"]))?.[1], "192.168.2.1");
  assert.equal(
    astray.exec(at(["192.168.2.1", "192.168.2.9", "fd00::1"]))?.[1],
    "{ 192.168.2.1, 192.168.2.9 }",
  );
  assert.doesNotMatch(at(), astray);
});

Deno.test("firewallRules() only removes where nothing is wanted", () => {
  const nothing = { ...desired, ipMasq: false, peersOnly: undefined };
  assert.equal(firewallRules(nothing), removalRules(4).join("\n") + "\n");
});

Deno.test("firewallRules() and peerDeltaRules() let nothing unchecked into the commands", () => {
  const evil = "10.0.0.0/8 accept\nflush ruleset";
  for (
    const wrong of [
      { ...desired, network: evil },
      { ...desired, subnet: evil },
      { ...desired, bridge: 'x" accept' },
      { ...desired, bridge: "" },
      { ...desired, bridge: "a*" },
      { ...desired, bridge: "sixteen-letters-" },
      { ...desired, peersOnly: tunnel([], 8472.5) },
      { ...desired, peersOnly: tunnel([], 0) },
      { ...desired, peersOnly: { ...tunnel([]), vni: 1 << 24 } },
      { ...desired, peersOnly: { ...tunnel([]), device: 'x" accept' } },
    ]
  ) assert.throws(() => firewallRules(wrong), JSON.stringify(wrong));
  const hostile = { ...desired, peersOnly: tunnel(["192.168.2.2 }; flush ruleset"]) };
  assert.doesNotMatch(firewallRules(hostile), /flush/);
  assert.equal(peerDeltaRules(["1.1.1.1 }\nflush ruleset"], [], 4), "");
  assert.equal(peerDeltaRules([], ["1.1.1.1; drop"], 4), "");
});

Deno.test("usablePeers() leaves out what the kernel would refuse together with all others", () => {
  const bad = [
    "",
    "nonsense",
    "192.168.2",
    "192.168.2.300",
    "fd00::1",
    "1.1.1.1 }\nflush ruleset",
    "1.1.1.1/8",
    "*",
  ];
  assert.deepEqual(usablePeers(["192.168.2.9", ...bad, "192.168.2.9", "192.168.2.8"], 4), [
    "192.168.2.9",
    "192.168.2.8",
  ]);
  assert.deepEqual(usablePeers(["fd00::1", "fe80::1%eth0", "FD00::2", "192.168.2.9"], 6), [
    "fd00::1",
    "fd00::2",
  ]);
});

Deno.test("peerDeltaRules() removes before it adds, and leaves out what the set cannot hold", () => {
  assert.equal(peerDeltaRules([], [], 4), "");
  assert.deepEqual(peerDeltaRules(["192.168.2.9", "fd09::9"], ["192.168.2.2"], 4).split("\n"), [
    "add element ip knet peers { 192.168.2.2 }",
    "delete element ip knet peers { 192.168.2.2 }",
    "add element ip knet peers { 192.168.2.9 }",
  ]);
  assert.equal(
    peerDeltaRules(["192.168.2.9", "fd09::9"], [], 6),
    "add element ip6 knet peers { fd09::9 }",
  );
});

Deno.test("firewallRules() leaves out a peer that its set cannot hold, and guards all the same", () => {
  const mixed = firewallRules({
    ...desired,
    peersOnly: tunnel(["192.168.2.2", "fd09::2", "192.168.2.2"]),
  });
  assert.match(mixed, /elements = \{ 192\.168\.2\.2 \}/);
});

Deno.test("firewallRules() leaves others' VNIs alone, and knows none for the udp backend", () => {
  const input = (text: string) => /chain guard \{([^}]*\}[^}]*)\}/.exec(text)![1]!;
  for (
    const line of input(firewallRules(desired)).split("\n").filter((one) => one.includes("drop"))
  ) {
    assert.match(line, /udp dport 8472 @th,96,24 1/);
  }
  const udp = { ...tunnel(["192.168.2.2"], 8285), vni: undefined, device: "knet.tun0", user: 1000 };
  const text = firewallRules({ ...desired, peersOnly: udp });
  assert.doesNotMatch(text, /@th|priority set/);
  assert.match(
    text,
    /udp dport 8285 ip daddr @peers meta skuid \{ 0, 1000 \} accept\nudp dport 8285 ip daddr @peers counter drop/,
  );
});

Deno.test("firewallRules() does not take the underlay's bridge for the containers'", () => {
  const shared = firewallRules({ ...desired, bridge: "br0", ifaces: ["br0"] });
  assert.doesNotMatch(shared, /iifname "br0"/);
  assert.match(
    firewallRules({ ...desired, bridge: "br0", ifaces: ["eth0"] }),
    /iifname "br0" ip saddr @peers/,
  );
});

Deno.test("firewallRules() takes what comes by any of the hosts' ways for what comes from outside", () => {
  const forged = (ifaces: readonly string[]) =>
    firewallRules({ ...desired, ifaces }).split("\n").find((line) =>
      line.includes("fib saddr . iif") && line.startsWith("udp")
    );
  assert.match(forged(["eth0", "br7"])!, /@th,96,24 1 iifname != \{ "eth0", "br7" \} meta iifkind/);
  assert.match(forged(["br7"])!, /iifname != "br7" meta iifkind/);
  assert.match(forged([])!, /@th,96,24 1 meta iifkind/);
  assert.doesNotMatch(
    firewallRules({ ...desired, bridge: "br0", ifaces: ["eth0", "br0"] }),
    /iifname "br0"/,
  );
  assert.throws(() => firewallRules({ ...desired, ifaces: ["eth0", 'a" drop'] }), SyntaxError);
});

Deno.test("parseListing() parts rules from peers, whose order means nothing", () => {
  const listing = (elements: string) =>
    `table ip knet {\n\tset peers {\n\t\ttype ipv4_addr\n\t\telements = { ${elements} }\n\t}\n}\n`;
  const a = parseListing(listing("192.168.2.2, 192.168.2.3,\n\t\t\t     192.168.2.4"));
  const b = parseListing(listing("192.168.2.4, 192.168.2.3, 192.168.2.2"));
  assert.deepEqual([...a.elements].sort(), ["192.168.2.2", "192.168.2.3", "192.168.2.4"]);
  assert.equal(a.rules, b.rules);
  assert.deepEqual(parseListing("table ip knet {\n}\n"), {
    rules: "table ip knet {\n}\n",
    elements: new Set(),
  });
});

Deno.test("firewallRules() are taken by the kernel, twice, and gone after removalRules()", () => {
  const reason = whyNoLab();
  if (reason !== undefined) return skip("firewallRules() are taken by the kernel", reason);
  using namespace = newNetns();
  withNetns(namespace.fd, () => {
    using nft = new Nftables();
    nft.run(guardRules(desired));
    for (const wanted of [desired, desired, six]) {
      nft.run(firewallRules(wanted, true));
      nft.run(firewallRules(wanted));
      nft.run(guardRules(wanted));
    }
    assert.match(nft.run("list table ip knet"), /192\.168\.2\.2, 192\.168\.2\.3/);
    assert.match(nft.run("list table ip6 knet"), /fd09::2/);
    nft.run(peerDeltaRules(["192.168.2.4"], ["192.168.2.2", "192.168.2.77"], 4));
    const { elements } = parseListing(nft.run("list table ip knet"));
    assert.deepEqual([...elements].sort(), ["192.168.2.3", "192.168.2.4"]);
    nft.run([...removalRules(4), ...removalRules(6), ...removalRules(6)].join("\n"));
    assert.equal(nft.run("list ruleset"), "");
  });
});
