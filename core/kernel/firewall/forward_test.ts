import assert from "node:assert/strict";
import { Nftables } from "../../../ffi/libnftables.ts";
import { newNetns, withNetns } from "../../../ffi/netns.ts";
import { skip, whyNoLab } from "../../../tests/support/skip.ts";
import { checkForward, forwardRemoval, planForward, readRules } from "./forward.ts";
import { type Chain, listRuleset, type Rule, runCommands } from "./ruleset.ts";

const NETWORK = "10.244.0.0/16";

const chain = (name: string, more: Partial<Chain> = {}): Chain => ({
  family: "ip",
  table: "filter",
  name,
  ...more,
});
const base = (more: Partial<Chain> = {}) =>
  chain("FORWARD", { hook: "forward", type: "filter", policy: "drop", ...more });
let handle = 1;
const rule = (of: Chain, expr: Rule["expr"], comment?: string): Rule => ({
  family: of.family,
  table: of.table,
  chain: of.name,
  handle: handle++,
  expr,
  ...(comment !== undefined && { comment }),
});
const match = (field: "saddr" | "daddr", addr = "10.244.0.0", len = 16) => ({
  match: {
    op: "==",
    left: { payload: { protocol: "ip", field } },
    right: { prefix: { addr, len } },
  },
});
const ours = (of: Chain, field: "saddr" | "daddr", addr?: string) =>
  rule(of, [match(field, addr), { counter: {} }, { accept: null }], "knet");

const insertion = ({ family, table, name }: Chain, field: "saddr" | "daddr") => ({
  insert: {
    rule: {
      family,
      table,
      chain: name,
      expr: [match(field), { counter: null }, { accept: null }],
      comment: "knet",
    },
  },
});
const WANTED = (of: Chain) => [insertion(of, "daddr"), insertion(of, "saddr")];
const deletion = ({ family, table, chain, handle }: Rule) => ({
  delete: { rule: { family, table, chain, handle } },
});

Deno.test("planForward() does nothing where nothing drops", () => {
  assert.deepEqual(planForward([base({ policy: "accept" })], [], NETWORK), {
    chains: [],
    commands: [],
    advice: [],
  });
  assert.deepEqual(planForward([], [], NETWORK).commands, []);
  const elsewhere = [base({ hook: "input" }), base({ family: "ip6" }), base({ type: "nat" })];
  assert.deepEqual(planForward(elsewhere, [], NETWORK).commands, []);
});

Deno.test("planForward() puts two rules into a chain that drops, by policy or by its last rule", () => {
  assert.deepEqual(planForward([base()], [], NETWORK).commands, WANTED(base()));
  const inet = base({ family: "inet", table: "host", policy: "accept" });
  const last = rule(inet, [{ counter: {} }, { reject: {} }]);
  assert.deepEqual(
    planForward([inet], [last], NETWORK).commands,
    WANTED(inet),
  );
  const limited = rule(inet, [match("saddr"), { drop: null }]);
  assert.deepEqual(
    planForward([inet], [limited], NETWORK).commands,
    [],
    "not everything is dropped",
  );
});

Deno.test("planForward() leaves Docker's own chain alone and takes the administrator's", () => {
  const chains = [base(), chain("DOCKER-USER")];
  const jump = rule(base(), [{ jump: { target: "DOCKER-USER" } }]);
  assert.deepEqual(planForward(chains, [jump], NETWORK).chains, ["ip filter DOCKER-USER"]);
  assert.deepEqual(
    planForward(chains, [], NETWORK).chains,
    ["ip filter FORWARD"],
    "nobody jumps there",
  );
});

Deno.test("planForward() leaves rules where they stand, and adds only what is missing", () => {
  const present = [ours(base(), "daddr"), ours(base(), "saddr")];
  assert.deepEqual(planForward([base()], present, NETWORK).commands, []);
  assert.deepEqual(planForward([base()], present.slice(1), NETWORK).commands, [
    WANTED(base())[0],
  ]);
});

Deno.test("planForward() removes rules of an earlier network, doubles, and those not needed any more", () => {
  const old = ours(base(), "saddr", "10.9.0.0");
  const twice = [ours(base(), "daddr"), ours(base(), "daddr"), ours(base(), "saddr")];
  assert.deepEqual(planForward([base()], [old, ...twice], NETWORK).commands, [
    deletion(old),
    deletion(twice[1]!),
  ]);
  const open = base({ policy: "accept" });
  assert.deepEqual(planForward([open], twice.slice(1), NETWORK).commands.length, 2);
});

Deno.test("planForward() and forwardRemoval() leave rules of another form alone, whatever their comment", () => {
  const foreign = [
    rule(base(), [match("saddr"), { drop: null }], "knet"),
    rule(base(), [match("saddr"), { accept: null }], "theirs"),
    rule(base(), [{ accept: null }], "knet"),
    rule(base(), [match("saddr"), match("daddr"), { accept: null }], "knet"),
  ];
  assert.ok(
    planForward([base()], foreign, NETWORK).commands.every((command) => "insert" in command),
  );
  assert.deepEqual(forwardRemoval(foreign), []);
  const own = ours(base(), "saddr", "10.1.0.0");
  assert.deepEqual(forwardRemoval([...foreign, own]), [
    deletion(own),
  ]);
});

Deno.test("planForward() advises where another manager owns the chain", () => {
  const ufw = [base(), chain("ufw-user-forward")];
  const plan = planForward(ufw, [], NETWORK);
  assert.deepEqual([plan.chains, plan.commands], [[], []]);
  assert.deepEqual(plan.advice.map(({ manager }) => manager), ["ufw"]);
});

Deno.test("checkForward() settles on the real kernel, and forwardRemoval() undoes it", () => {
  const reason = whyNoLab();
  if (reason !== undefined) return skip("checkForward() settles on the real kernel", reason);
  using namespace = newNetns();
  withNetns(namespace.fd, () => {
    using nft = new Nftables();
    nft.run(`table ip filter {
      chain DOCKER-USER { counter return; }
      chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }
    }
    table inet host {
      chain out { type filter hook forward priority 10; ct state established accept; drop; }
    }`);
    // Names that nft's language has for words of its own.
    const fwd = { family: "inet", table: "fwd", name: "fwd" };
    runCommands(nft, [
      { add: { table: { family: "inet", name: "fwd" } } },
      { add: { chain: { ...fwd, type: "filter", hook: "forward", prio: 20, policy: "drop" } } },
    ]);
    const before = nft.run("list ruleset", { stateless: true });
    for (const network of [NETWORK, "fd00::/48"]) {
      const plan = checkForward(nft, network);
      assert.equal(plan.chains.length, network === NETWORK ? 3 : 2);
      runCommands(nft, plan.commands);
      assert.deepEqual(checkForward(nft, network).commands, [], nft.run("list ruleset"));
      const { chains } = listRuleset(nft, "chains");
      runCommands(nft, forwardRemoval(readRules(nft, chains, network)));
      assert.equal(nft.run("list ruleset", { stateless: true }), before);
    }
  });
});
