import assert from "node:assert/strict";
import type { Member } from "../store/dqlite/wire.ts";
import { holdsCopy, serversOf } from "./held_servers.ts";

const members: Member[] = [
  { id: 5, address: "e/5", role: "spare" },
  { id: 4, address: "d/4", role: "standby" },
  { id: 1, address: "a/1", role: "voter" },
  { id: 2, address: "b/2", role: "voter" },
  { id: 3, address: "c/3", role: "voter" },
];

Deno.test("serversOf() asks who leads first, then this host, then others that hold a copy, and each once", () => {
  const lists = [
    serversOf({ members, leader: "b/2" }, "c", ["192.0.2.1"]),
    serversOf({ members, leader: "c/3" }, "c", []),
    serversOf({ members }, "d", []),
    serversOf({ members, leader: "b/2" }, undefined, ["b"]),
    serversOf({ members: [] }, undefined, ["192.0.2.1"]),
    serversOf({ members: [] }, "a", []),
  ];
  assert.deepEqual(lists, [
    ["b", "c", "a", "d", "192.0.2.1"],
    ["c", "a", "b", "d"],
    ["d", "a", "b", "c"],
    ["b", "a", "c", "d"],
    ["192.0.2.1"],
    ["a"],
  ]);
});

Deno.test("holdsCopy() knows who votes or stands by", () => {
  assert.deepEqual(["a", "d", "e", "x"].map((host) => holdsCopy(members, host)), [
    true,
    true,
    false,
    false,
  ]);
});
