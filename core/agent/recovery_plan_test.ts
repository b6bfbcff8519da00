import assert from "node:assert/strict";
import type { Member, Role } from "../store/dqlite/wire.ts";
import { type HostWord, planRecovery, type RecoveryFacts } from "./recovery_plan.ts";

const ROLES: readonly Role[] = ["voter", "voter", "voter", "standby", "standby", "spare", "spare"];
const MEMBERS: readonly Member[] = ROLES.map((role, n) => ({
  ...{ id: n + 1, address: `h${n + 1}/${n + 1}`, role },
}));

const SILENT: HostWord = { state: "silent", why: "no answer" };
const ANSWERS: HostWord = { state: "answers", says: { members: MEMBERS } };

function plan(words: Record<string, HostWord>, more: Partial<RecoveryFacts> = {}) {
  const { members = MEMBERS, own = "h3/3", generation = 0 } = more;
  return planRecovery({ members, own, generation, words: new Map(Object.entries(words)) });
}

const ids = (list: readonly { readonly nodeId: string }[]) => list.map(({ nodeId }) => nodeId);

Deno.test("planRecovery() drops silent hosts with a copy, keeps who lives, and lets those without a copy come back", () => {
  const { refusal, role, ...made } = plan({ h1: SILENT, h2: SILENT, h4: ANSWERS, h6: ANSWERS });
  assert.equal(refusal, undefined);
  assert.equal(role, "voter");
  assert.deepEqual(ids(made.kept), ["h4", "h6"]);
  // Who was not even asked is as silent.
  assert.deepEqual(ids(made.dropped), ["h1", "h2", "h5"]);
  assert.deepEqual(ids(made.away), ["h7"]);
  assert.equal(made.dropped[0]?.why, "no answer");
});

Deno.test("planRecovery() refuses where a majority lives, though its replicas do not run just now, or somebody leads", () => {
  const lives: HostWord = { state: "lives", why: "it is just starting" };
  assert.match(plan({ h1: lives, h2: SILENT }).refusal?.state ?? "", /no majority is lost/);
  assert.match(
    plan({ h1: ANSWERS, h2: SILENT }).refusal?.state ?? "",
    /no majority is lost.*h1, h3/,
  );
  const led: HostWord = { state: "answers", says: { members: MEMBERS, leader: "h2/2" } };
  assert.match(plan({ h6: led }).refusal?.state ?? "", /h6 says that h2 leads it/);
  // That this host led is an old word: it does not run.
  const own: HostWord = { state: "answers", says: { members: MEMBERS, leader: "h3/3" } };
  assert.equal(plan({ h6: own }).refusal, undefined);
  const alone = plan({}, { members: MEMBERS.slice(2, 3) });
  assert.match(
    alone.refusal?.state ?? "",
    /of the 1 hosts that vote 1 are needed, and h3 is there/,
  );
});

Deno.test("planRecovery() refuses on a host without a copy, and where the store was recovered elsewhere", () => {
  assert.match(plan({}, { own: "h6/6" }).refusal?.state ?? "", /holds no copy/);
  assert.match(plan({}, { own: "h9/9" }).refusal?.state ?? "", /holds no copy/);
  assert.equal(plan({}, { own: "h4/4" }).refusal, undefined);
  assert.equal(plan({}, { own: "h4/4" }).role, "standby");
  const recovered: HostWord = { state: "answers", says: { members: MEMBERS, generation: 7 } };
  assert.match(plan({ h4: recovered }).refusal?.state ?? "", /recovered already.*h4 says/);
  const revoked: HostWord = { state: "refuses", why: "this host's certificate was revoked" };
  assert.match(plan({ h4: revoked, h1: SILENT }).refusal?.state ?? "", /h4 lives, and takes this/);
  assert.equal(plan({ h4: recovered }, { generation: 7 }).refusal, undefined);
  // Two of two voted: one is no majority.
  const two = plan({ h2: SILENT }, { members: MEMBERS.slice(1, 3) });
  assert.deepEqual([two.refusal, ids(two.dropped)], [undefined, ["h2"]]);
});
