import assert from "node:assert/strict";
import { Nftables } from "../../../ffi/libnftables.ts";
import { newNetns, withNetns } from "../../../ffi/netns.ts";
import { exec } from "../../../tests/support/exec.ts";
import { skip, whyNoLab } from "../../../tests/support/skip.ts";
import { checkLocal, type PassNeeds, planLocal, serviceTargets } from "./local_hooks.ts";
import { ensurePasses, removePasses } from "./passes.ts";
import type { Chain, Rule } from "./ruleset.ts";

const NEEDS: PassNeeds = {
  network: "10.244.0.0/16",
  targets: ["10.96.0.0/16", "192.0.2.7/32"],
  bridge: "knet0",
  ifaces: ["eth0"],
  port: 8472,
  tunnelsIn: true,
  tunnelsOut: true,
};

const chain = (more: Partial<Chain> = {}): Chain => ({
  ...{ family: "ip", table: "filter", name: "INPUT", hook: "input", type: "filter" },
  policy: "drop",
  ...more,
});

Deno.test("serviceTargets() is the service network, and what of virtual IPs is not in it", () => {
  assert.deepEqual(serviceTargets([], "10.96.0.0/16"), []);
  assert.deepEqual(serviceTargets(["10.96.0.2", "192.0.2.7", "fd00::1"], "10.96.0.0/16"), [
    "10.96.0.0/16",
    "192.0.2.7/32",
    "fd00::1/128",
  ]);
  assert.deepEqual(serviceTargets(["10.96.0.2"]), ["10.96.0.2/32"]);
});

Deno.test("planLocal() lets in services and the tunnel where INPUT drops, and out where OUTPUT does", () => {
  const plan = planLocal([chain(), chain({ name: "OUTPUT", hook: "output" })], [], NEEDS);
  assert.deepEqual(plan.chains, ["ip filter INPUT", "ip filter OUTPUT"]);
  assert.deepEqual([plan.commands.length, plan.advice], [4 + 3, []]);
  assert.deepEqual(planLocal([chain({ policy: "accept" })], [], NEEDS).commands, []);
  const elsewhere = [
    chain({ hook: "forward" }),
    chain({ family: "ip6" }),
    chain({ type: "nat" }),
    chain({ table: "knet" }),
  ];
  assert.deepEqual(planLocal(elsewhere, [], NEEDS).commands, []);
  const { network } = NEEDS;
  assert.deepEqual(planLocal([chain()], [], { network, targets: [] }).commands, []);
});

Deno.test("planLocal() lets in the port of the store that hosts hold themselves, TCP and UDP, and takes it away where it is not needed", () => {
  const host = { network: NEEDS.network, targets: [], store: 8473 };
  const { commands } = planLocal([chain()], [], host);
  const texts = commands.map((command) => JSON.stringify(command));
  assert.equal(texts.length, 2);
  for (const protocol of ["tcp", "udp"]) {
    assert.ok(
      texts.some((text) => text.includes(`"protocol":"${protocol}"`) && text.includes("8473")),
    );
  }
  const own: Rule = {
    ...{ family: "ip", table: "filter", chain: "INPUT", handle: 3, comment: "knet" },
    expr: [{
      match: {
        op: "==",
        left: { payload: { protocol: "tcp", field: "dport" } },
        right: 8473,
      },
    }, { accept: null }],
  };
  assert.equal(planLocal([chain()], [own], host).commands.length, 1);
  const without = planLocal([chain()], [own], { network: NEEDS.network, targets: [] });
  assert.deepEqual(without.commands, [
    { delete: { rule: { family: "ip", table: "filter", chain: "INPUT", handle: 3 } } },
  ]);
  const [ufw] =
    planLocal([chain(), { family: "ip", table: "filter", name: "ufw-user-input" }], [], host)
      .advice;
  assert.deepEqual(ufw?.commands.slice(-2), ["ufw allow 8473/tcp", "ufw allow 8473/udp"]);
});

Deno.test("planLocal() lets the tunnel in where one of the hosts' ways is dropped", () => {
  const accepts = (name: string): Rule => ({
    ...{ family: "ip", table: "filter", chain: "INPUT", handle: 3 },
    expr: [{ match: { op: "==", left: { meta: { key: "iifname" } }, right: name } }, {
      accept: null,
    }],
  });
  const plan = (ifaces: readonly string[], ...accepted: string[]) =>
    planLocal([chain()], accepted.map(accepts), {
      ...{ network: NEEDS.network, targets: [], port: 8472, ifaces },
    }).commands.length;
  // Many a firewall accepts the loopback first; a host that speaks BGP has its address there.
  assert.equal(plan(["eth0"], "lo"), 1);
  assert.equal(plan(["eth0", "eth1"], "lo", "eth0"), 1);
  assert.equal(plan(["eth0", "eth1"], "eth1", "eth0"), 0);
  assert.equal(plan([], "lo", "eth0"), 1, "nobody knows by which");
});

Deno.test("planLocal() adds only what is dropped, and takes its own away where nothing is", () => {
  const accepted: Rule = {
    ...{ family: "ip", table: "filter", chain: "INPUT", handle: 3 },
    expr: [
      { match: { op: "==", left: { payload: { protocol: "udp", field: "dport" } }, right: 8472 } },
      { accept: null },
    ],
  };
  const host = { network: NEEDS.network, targets: [], port: 8472 };
  assert.deepEqual(planLocal([chain()], [accepted], host).commands, []);
  const own = { ...accepted, comment: "knet" };
  assert.deepEqual(planLocal([chain()], [own], host).commands, []);
  assert.deepEqual(planLocal([chain()], [own, accepted], host).commands, [
    { delete: { rule: { family: "ip", table: "filter", chain: "INPUT", handle: 3 } } },
  ]);
  const theirs = { ...own, comment: "theirs", expr: [{ accept: null }] };
  assert.deepEqual(planLocal([chain({ policy: "accept" })], [theirs], host).commands, []);
});

Deno.test("planLocal() advises where another program writes the chain, until it was done", () => {
  const chains = [
    chain(),
    chain({ name: "OUTPUT", hook: "output" }),
    { family: "ip", table: "filter", name: "ufw-user-input" },
  ];
  const plan = planLocal(chains, [], NEEDS);
  assert.deepEqual([plan.commands, plan.left], [[], ["ip filter INPUT", "ip filter OUTPUT"]]);
  const text = plan.advice[0]!.commands.join("\n");
  assert.match(text, /ufw allow from 10\.244\.0\.0\/16 to 192\.0\.2\.7\/32/);
  assert.match(text, /ufw allow 8472\/udp[^]*ufw allow out 8472\/udp/);
  const open = chains.map((one) => one.policy === undefined ? one : { ...one, policy: "accept" });
  assert.deepEqual(planLocal(open, [], NEEDS).advice, []);
  // What is not seen may drop.
  const [legacy] = planLocal([], [], NEEDS, "filter\n").advice;
  assert.match(legacy!.commands.join("\n"), /-I INPUT -s 10\.244\.0\.0\/16 -d 10\.96\.0\.0\/16/);
});

const RULES = `table inet host {
  chain in { type filter hook input priority 10; policy accept; ct state established accept; iifname "lo" accept; goto rest; }
  chain rest { counter drop; }
  chain out { type route hook output priority 0; policy drop; ct state vmap { established : accept, invalid : drop }; }
}`;

Deno.test("ensurePasses() settles on the real kernel, comes back after a flush, and removePasses() undoes it", async () => {
  const reason = whyNoLab();
  if (reason !== undefined) return skip("ensurePasses() settles on the real kernel", reason);
  using namespace = newNetns();
  const iptables = async (line: string) =>
    (await exec(["nsenter", `--net=/proc/${Deno.pid}/fd/${namespace.fd}`, ...line.split(" ")]))
      .stdout;
  const within = <T>(fn: (nft: Nftables) => T) =>
    withNetns(namespace.fd, () => {
      using nft = new Nftables();
      return fn(nft);
    });
  for (const line of ["-P INPUT DROP", "-A OUTPUT -j REJECT", "-P FORWARD DROP"]) {
    await iptables(`iptables-nft -w ${line}`);
  }
  const list = () => within((nft) => nft.run("list ruleset", { stateless: true }));
  within((nft) => nft.run(RULES));
  const before = list();
  for (let turn = 0; turn < 2; turn++) {
    const state = within((nft) => ensurePasses(nft, NEEDS));
    assert.equal(state.chains.length, 5, state.chains.join());
    assert.deepEqual(within((nft) => checkLocal(nft, NEEDS)).commands, [], list());
    assert.equal(within((nft) => ensurePasses(nft, NEEDS)).changed, false);
    const shown = await iptables("iptables-nft -w -S");
    assert.match(shown, /-A INPUT -s 10\.244\.0\.0\/16 -d 10\.96\.0\.0\/16 .*knet.* -j ACCEPT/);
    assert.match(shown, /-A INPUT -p udp .*--dport 8472 .*-j ACCEPT/);
    assert.match(shown, /-A INPUT -p (4|ipencap|ipip|ipv4) .*-j ACCEPT/);
    assert.match(shown, /-A OUTPUT -s 10\.244\.0\.0\/16 .*-j ACCEPT/);
    await iptables("iptables-nft -w -F INPUT");
  }
  within((nft) => ensurePasses(nft, NEEDS));
  within((nft) => removePasses(nft));
  assert.equal(list(), before);
});
