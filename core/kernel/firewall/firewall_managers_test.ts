import assert from "node:assert/strict";
import { recognise } from "./firewall_managers.ts";
import type { Chain } from "./ruleset.ts";

const chain = (family: string, table: string, name: string): Chain => ({ family, table, name });

Deno.test("recognise() finds nobody on a host without rules", () => {
  assert.deepEqual(recognise([], "", "10.244.0.0/16"), []);
  assert.deepEqual(
    recognise([chain("ip", "filter", "FORWARD")], "nat\nmangle\n", "10.244.0.0/16"),
    [],
  );
});

Deno.test("recognise() finds each manager and prints the commands for the network and port", () => {
  const chains = [
    chain("inet", "firewalld", "filter_FORWARD"),
    chain("ip", "filter", "ufw-user-forward"),
    chain("ip", "filter", "FORWARD"),
  ];
  const found = recognise(chains, "filter\nnat\n", "10.244.0.0/16", 8472);
  assert.deepEqual(found.map(({ advice }) => advice.manager), [
    "firewalld",
    "ufw",
    "iptables-legacy",
  ]);
  for (const { advice } of found) {
    const text = advice.commands.join("\n");
    assert.ok(text.includes("10.244.0.0/16") && text.includes("8472"), text);
  }
  assert.ok(!JSON.stringify(recognise(chains, "filter", "10.244.0.0/16")).includes("udp"));
  const [firewalld, ufw, legacy] = found.map(({ owns }) => chains.map((one) => owns(one)));
  assert.deepEqual(firewalld, [true, false, false]);
  assert.deepEqual(ufw, [false, true, true], "the whole table");
  assert.deepEqual(legacy, [false, false, false]);
});

Deno.test("recognise() names the IPv6 program for an IPv6 network", () => {
  const [legacy] = recognise([], "filter\n", "fd00::/48");
  assert.ok(legacy!.advice.commands.every((command) => command.startsWith("ip6tables-legacy ")));
});

Deno.test("recognise() has the exact commands for iptables-legacy, whose rules do not show", () => {
  const open = { port: 8472, services: ["10.96.0.0/16"] };
  const [legacy] = recognise([], "raw\nfilter\n", "10.244.0.0/16", open);
  assert.deepEqual(legacy!.advice.commands, [
    "iptables-legacy -I FORWARD -s 10.244.0.0/16 -j ACCEPT",
    "iptables-legacy -I FORWARD -d 10.244.0.0/16 -j ACCEPT",
    "iptables-legacy -I INPUT -s 10.244.0.0/16 -d 10.96.0.0/16 -j ACCEPT",
    "iptables-legacy -I INPUT -p udp --dport 8472 -j ACCEPT",
    "iptables-legacy -I OUTPUT -s 10.244.0.0/16 -j ACCEPT",
    "iptables-legacy -I OUTPUT -p udp --dport 8472 -j ACCEPT",
  ]);
  assert.deepEqual(recognise([], "security\nmangle\n", "10.244.0.0/16", open), []);
});
