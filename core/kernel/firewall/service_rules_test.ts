import assert from "node:assert/strict";
import { Nftables } from "../../../ffi/libnftables.ts";
import { newNetns, withNetns } from "../../../ffi/netns.ts";
import { skip, whyNoLab } from "../../../tests/support/skip.ts";
import { applyFirewall, changeServiceSets, checkFirewall } from "./firewall.ts";
import type { Forward, Masquerade } from "../../services/service.ts";
import { firewallRules } from "./rules.ts";
import { type MasqueradedService, serviceDelta, serviceSets } from "./service_rules.ts";

function service(
  address: string,
  masquerade: Masquerade = "auto",
  forward: Forward = "nat",
): MasqueradedService {
  const family = address.includes(":") ? 6 : 4;
  return { family, protocol: "tcp", address, port: 80, masquerade, realServers: [{ forward }] };
}

const firewall = (services: readonly MasqueradedService[]) => ({
  network: "10.244.0.0/16",
  subnet: "10.244.1.0/24",
  address: "192.168.2.1",
  bridge: "knet0",
  ipMasq: true,
  peersOnly: undefined,
  services: serviceSets(services, 4),
});

Deno.test("serviceSets() sorts by choice, and never masquerades direct routing and tunnels", () => {
  const sets = serviceSets([
    service("10.96.0.1"),
    service("10.96.0.2", "always"),
    service("10.96.0.3", "never"),
    service("10.96.0.4", "always", "dr"),
    service("10.96.0.5", "auto", "tunnel"),
    service("fd00::1", "always"),
  ], 4);
  assert.deepEqual(sets.get("svc-auto-tcp"), ["10.96.0.1 . 80"]);
  assert.deepEqual(sets.get("svc-always-tcp"), ["10.96.0.2 . 80"]);
  assert.deepEqual(sets.get("svc-auto-udp"), []);
  assert.deepEqual(sets.get("svc-vips"), [1, 2, 3, 4, 5].map((n) => `10.96.0.${n}`));
  assert.deepEqual(sets.get("svc-open"), [1, 2, 3, 4, 5].map((n) => `10.96.0.${n} . 6 . 80`));
});

Deno.test("serviceSets() keeps open what others have at a virtual IP, and nothing elsewhere", () => {
  const foreign = { ...service("10.96.0.1"), protocol: "udp" as const, port: 53 };
  const sets = serviceSets([service("10.96.0.1")], 4, [foreign, service("10.96.0.9")]);
  assert.deepEqual(sets.get("svc-open"), ["10.96.0.1 . 6 . 80", "10.96.0.1 . 17 . 53"]);
});

Deno.test("firewallRules() refuses what no service is at, and addresses that no service has", () => {
  const none = { ...firewall([]), services: undefined, serviceNetwork: "10.96.0.0/16" };
  const text = firewallRules(none);
  assert.match(
    text,
    /hook forward priority -290; policy accept;\nip daddr 10\.96\.0\.0\/16 jump svc-nobody/,
  );
  assert.doesNotMatch(text, /svc-vips|svc-only/);
  const some = firewallRules({ ...none, services: serviceSets([service("10.96.0.1")], 4) });
  assert.match(some, /ip daddr 10\.96\.0\.0\/16 ip daddr != @svc-vips jump svc-nobody/);
  assert.match(some, /hook input priority -290; policy accept;\nip daddr @svc-vips jump svc-only/);
  assert.doesNotMatch(firewallRules({ ...none, serviceNetwork: undefined }), /svc-/);
});

Deno.test("firewallRules() refuses what begins a connection before it passes what answers one", () => {
  const text = firewallRules(firewall([service("10.96.0.1")]));
  const [, rules = ""] =
    /chain svc-only \{([^}]*)\}[^}]*\}/.exec(text.replace(/type \{[^}]*\}/g, "")) ?? [];
  assert.match(rules, /syn jump svc-nobody\nct direction reply return\ngoto svc-nobody/);
});

Deno.test("firewallRules() has as many rules for a thousand services as for one", () => {
  const rules = (count: number) => {
    const services = Array.from({ length: count }, (_, n) => service(`10.96.${n >> 8}.${n & 255}`));
    return firewallRules(firewall(services)).split("\n").length;
  };
  // The empty set lacks its line of elements: of addresses, of what they answer, and of services masqueraded as needed.
  assert.equal(rules(1), rules(0) + 3);
  assert.equal(rules(1000), rules(1));
});

Deno.test("firewallRules() hands what came through a tunnel for a service to this host itself", () => {
  const rule =
    'iifname "tunl0" ip daddr . meta l4proto . th dport @svc-open counter dnat to 192.168.2.1';
  assert.ok(firewallRules(firewall([service("10.96.0.1")])).includes(rule));
  assert.ok(!firewallRules({ ...firewall([]), services: undefined }).includes("tunl0"));
});

Deno.test("firewallRules() takes IPIP from peers alone, and out of it what is for a service", () => {
  const services = serviceSets([service("10.96.0.1", "auto", "tunnel")], 4, [], [
    "192.168.2.2",
    "fd00::2",
    "nonsense",
  ]);
  assert.deepEqual(services.get("svc-directors"), ["192.168.2.2"]);
  assert.deepEqual(
    serviceSets([service("10.96.0.1")], 4, [], ["192.168.2.2"]).get("svc-directors"),
    [],
    "without such services nobody sends any",
  );
  const base = { ...firewall([]), services, ifaces: ["eth0"] };
  const none = firewallRules(base);
  assert.match(
    none,
    /meta l4proto 4 ip daddr @svc-directors ip saddr != @svc-directors counter drop/,
  );
  assert.match(none, /iifname "knet0" ip saddr & 0\.0\.0\.255 == 0\.0\.0\.0 counter drop/);
  assert.doesNotMatch(none, /svc-tunnel-(input|end)/);
  const own = firewallRules({ ...base, tunnelEnd: "own" });
  assert.match(own, /\niifname "tunl0" counter drop\n/);
  const shared = firewallRules({ ...base, tunnelEnd: "shared" });
  assert.doesNotMatch(shared, /\niifname "tunl0" counter drop\n/);
  assert.match(shared, /iifname "tunl0" ip daddr 10\.244\.0\.0\/16 counter drop/);
  const reason = whyNoLab();
  if (reason !== undefined) return skip("the kernel takes these rules", reason);
  using namespace = newNetns();
  withNetns(namespace.fd, () => {
    using nft = new Nftables();
    for (const tunnelEnd of ["own", "shared", undefined] as const) {
      applyFirewall(nft, { ...base, tunnelEnd });
      assert.equal(checkFirewall(nft, { ...base, tunnelEnd }), undefined);
    }
    assert.match(checkFirewall(nft, { ...base, tunnelEnd: "own" }) ?? "", /other rules/);
  });
});

Deno.test("serviceDelta() names what differs and nothing else, and lets nothing unchecked through", () => {
  const before = serviceSets([service("10.96.0.1"), service("10.96.0.2")], 4);
  const after = serviceSets([service("10.96.0.2"), service("10.96.0.3")], 4);
  assert.equal(serviceDelta(before, before, 4), "");
  const commands = serviceDelta(before, after, 4).split("\n");
  assert.deepEqual(commands.filter((line) => line.includes("svc-vips")), [
    "add element ip knet svc-vips { 10.96.0.1 }",
    "delete element ip knet svc-vips { 10.96.0.1 }",
    "add element ip knet svc-vips { 10.96.0.3 }",
  ]);
  assert.throws(() => serviceDelta(new Map(), new Map([["svc-vips", ["1.2.3.4 } ; flush"]]]), 4));
});

Deno.test("firewallRules() refuses at virtual IPs of the other family, too, and heals that table", () => {
  const six = { ...service("fd00:96::1"), masquerade: "auto" } as const;
  const desired = firewall([service("10.96.0.1"), six]);
  const text = firewallRules(desired);
  assert.match(
    text,
    /table ip6 knet \{\nset svc-other-vips \{\ntype ipv6_addr\nelements = \{ fd00:96::1 \}/,
  );
  assert.match(text, /elements = \{ fd00:96::1 \. 6 \. 80 \}/);
  assert.match(text, /ip6 daddr @svc-other-vips jump svc-only/);
  assert.doesNotMatch(firewallRules(firewall([service("10.96.0.1")])), /ip6/);
  const reason = whyNoLab();
  if (reason !== undefined) return skip("the table of the other family", reason);
  using namespace = newNetns();
  withNetns(namespace.fd, () => {
    using nft = new Nftables();
    const without = firewall([service("10.96.0.1")]);
    applyFirewall(nft, without);
    assert.match(checkFirewall(nft, desired) ?? "", /should have other rules/);
    applyFirewall(nft, desired);
    assert.equal(checkFirewall(nft, desired), undefined);
    const more = firewall([service("10.96.0.1"), six, { ...six, port: 81 }]);
    changeServiceSets(nft, desired.services, more.services, 4);
    assert.equal(checkFirewall(nft, more), undefined);
    nft.run("flush chain ip6 knet svc-only");
    assert.match(checkFirewall(nft, more) ?? "", /rules were changed/);
    nft.run("delete table ip6 knet");
    assert.match(checkFirewall(nft, more) ?? "", /is gone/);
    applyFirewall(nft, more);
    assert.equal(checkFirewall(nft, more), undefined);
    applyFirewall(nft, without);
    assert.doesNotMatch(nft.run("list tables"), /ip6/);
  });
});

Deno.test("changeServiceSets() changes the kernel's sets, and checkFirewall() sees every difference", () => {
  const reason = whyNoLab();
  if (reason !== undefined) return skip("changeServiceSets()", reason);
  using namespace = newNetns();
  withNetns(namespace.fd, () => {
    using nft = new Nftables();
    const first = firewall([service("10.96.0.1"), service("10.96.0.2", "always")]);
    const second = firewall([service("10.96.0.2", "never"), service("10.96.0.3")]);
    applyFirewall(nft, first);
    assert.equal(checkFirewall(nft, first), undefined);
    changeServiceSets(nft, first.services, second.services, 4);
    assert.equal(checkFirewall(nft, second), undefined);
    assert.match(checkFirewall(nft, first) ?? "", /missing in its nftables set svc-/);
    nft.run("add element ip knet svc-vips { 10.9.9.9 }");
    assert.match(checkFirewall(nft, second) ?? "", /1 entry in its nftables set svc-vips too many/);
  });
});
