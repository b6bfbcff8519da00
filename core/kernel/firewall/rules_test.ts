import assert from "node:assert/strict";
import { Nftables } from "../../../ffi/libnftables.ts";
import { newNetns, withNetns } from "../../../ffi/netns.ts";
import { skip, whyNoLab } from "../../../tests/support/skip.ts";
import { parseListing } from "./firewall.ts";
import { type FirewallDesired, firewallRules, peerDeltaRules, removalRules } from "./rules.ts";

const desired: FirewallDesired = {
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  address: "192.168.2.1",
  bridge: "knet0",
  ipMasq: true,
  peersOnly: { port: 8472, peers: ["192.168.2.2", "192.168.2.3"] },
};
const six: FirewallDesired = {
  network: "fd00::/48",
  subnet: "fd00:0:0:1::/64",
  address: "fd09::1",
  bridge: "cni0",
  ipMasq: true,
  peersOnly: { port: 8472, peers: ["fd09::2"] },
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
  assert.match(text, /iifname "knet\*" udp dport 8472 counter drop/);
  assert.match(text, /iifname != "lo" udp dport 8472 ip saddr != @peers counter drop/);
  assert.ok(!text.includes("masquerade"));
  assert.match(firewallRules({ ...desired, bridge: "cni0" }), /iifname "cni0" udp dport 8472/);
  const nobody = firewallRules({ ...desired, peersOnly: { port: 8472, peers: [] } });
  assert.ok(!nobody.includes("elements"), "nftables takes no empty list");
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
      { ...desired, peersOnly: { port: 8472, peers: ["192.168.2.2 }; flush ruleset"] } },
      { ...desired, peersOnly: { port: 8472.5, peers: [] } },
      { ...desired, peersOnly: { port: 0, peers: [] } },
    ]
  ) assert.throws(() => firewallRules(wrong), JSON.stringify(wrong));
  assert.throws(() => peerDeltaRules(["1.1.1.1 }\nflush ruleset"], []));
  assert.throws(() => peerDeltaRules([], ["1.1.1.1; drop"]));
});

Deno.test("peerDeltaRules() removes before it adds, each family in its own table", () => {
  assert.equal(peerDeltaRules([], []), "");
  assert.deepEqual(peerDeltaRules(["192.168.2.9", "fd09::9"], ["192.168.2.2"]).split("\n"), [
    "add element ip knet peers { 192.168.2.2 }",
    "delete element ip knet peers { 192.168.2.2 }",
    "add element ip knet peers { 192.168.2.9 }",
    "add element ip6 knet peers { fd09::9 }",
  ]);
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
    for (const wanted of [desired, desired, six]) nft.run(firewallRules(wanted));
    assert.match(nft.run("list table ip knet"), /192\.168\.2\.2, 192\.168\.2\.3/);
    assert.match(nft.run("list table ip6 knet"), /fd09::2/);
    nft.run(peerDeltaRules(["192.168.2.4"], ["192.168.2.2", "192.168.2.77"]));
    const { elements } = parseListing(nft.run("list table ip knet"));
    assert.deepEqual([...elements].sort(), ["192.168.2.3", "192.168.2.4"]);
    nft.run([...removalRules(4), ...removalRules(6), ...removalRules(6)].join("\n"));
    assert.equal(nft.run("list ruleset"), "");
  });
});
