import assert from "node:assert/strict";
import type { Members } from "../store/remote/values.ts";
import { bestAnswer } from "./members_by_others.ts";

const member = (id: number) => ({ id, address: `h${id}/${id}`, role: "voter" as const });

Deno.test("bestAnswer() goes by the newest generation, then by who knows a leader, and has nobody where nobody answered", () => {
  const old: Members = { members: [member(1), member(2), member(3)], leader: "h1/1" };
  const lost: Members = { members: [member(1), member(2), member(3)] };
  const recovered: Members = { members: [member(9)], generation: 1_700_000_000 };
  const later: Members = { members: [member(8)], generation: 1_700_000_001, leader: "h8/8" };
  assert.equal(bestAnswer([lost, old]), old);
  assert.equal(bestAnswer([old, lost]), old);
  assert.equal(bestAnswer([old, recovered, lost]), recovered);
  assert.equal(bestAnswer([later, recovered, old]), later);
  assert.deepEqual(bestAnswer([]), { members: [] });
});
