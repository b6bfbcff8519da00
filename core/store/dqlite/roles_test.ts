import assert from "node:assert/strict";
import { roles, type SeenMember } from "./roles.ts";
import type { Role } from "./wire.ts";

/** A member; `since` in seconds, negative: so long away. */
const member = (id: number, role: Role, since = 100): SeenMember => ({
  id,
  role,
  address: `n${id}/${id}`,
  alive: since >= 0,
  since: Math.abs(since) * 1000,
});

Deno.test("roles() gives one host, two and three a vote each", () => {
  assert.deepEqual(roles([member(1, "voter")], 1), []);
  assert.deepEqual(roles([member(1, "voter"), member(2, "spare")], 1), [{ id: 2, role: "voter" }]);
  assert.deepEqual(roles([member(1, "voter"), member(2, "voter"), member(3, "spare")], 1), [
    { id: 3, role: "voter" },
  ]);
});

Deno.test("roles() lets the fourth and fifth stand by, and the sixth nothing", () => {
  const three = [1, 2, 3].map((id) => member(id, "voter"));
  assert.deepEqual(roles([...three, ...[4, 5, 6].map((id) => member(id, "spare"))], 1), [
    { id: 4, role: "standby" },
    { id: 5, role: "standby" },
  ]);
});

Deno.test("roles() replaces a voter that was away long by the stand-by that lived longest, the vote given first", () => {
  const members = [
    member(1, "voter"),
    member(2, "voter"),
    member(3, "voter", -61),
    member(4, "standby", 10),
    member(5, "standby", 20),
  ];
  assert.deepEqual(roles(members, 1).slice(0, 2), [
    { id: 5, role: "voter" },
    { id: 3, role: "spare" },
  ]);
});

Deno.test("roles() takes no vote of a voter that is away for a moment, or that nobody replaces", () => {
  const two = [member(1, "voter"), member(2, "voter")];
  assert.deepEqual(roles([...two, member(3, "voter", -30), member(4, "standby")], 1), []);
  assert.deepEqual(roles([...two, member(3, "voter", -3000)], 1), []);
});

Deno.test("roles() never takes the leader's vote", () => {
  const four = [member(1, "voter", 1), ...[2, 3, 4].map((id) => member(id, "voter"))];
  assert.equal(roles(four, 1).some(({ id }) => id === 1), false);
});
